"""A port at which a worker of the fleet tells what it measures: it answers no other requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from jobsvc.metrics.exposition import CONTENT_TYPE, exposition
from jobsvc.process.http.answer import FOR_BROWSERS
from jobsvc.settings import SettingError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

CLIENT_SECONDS = 5.0
"""How long to wait for a client that says nothing, or takes nothing."""

MAX_CLIENTS = 8
"""So many are answered at a time; a further connection is closed. Runs of jobs share the process."""


class MetricsPort:
    """Implements `process.parts.Part`. Its threads are daemons: nobody waits for a client at the end."""

    def __init__(self, host: str, port: int) -> None:
        """Listens at once. Raises SettingError if it can't."""
        try:
            self._server = make_server(host, port, answer, _Server, _Handler)
        except OSError as error:
            raise SettingError(
                f"JOBSVC_METRICS_PORT={port} can't be used: {error.strerror or error}; each worker of a machine "
                "needs a port of its own, and 0 is for none"
            ) from None
        self._thread = Thread(target=self._server.serve_forever, name="jobsvc-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()
        log.info("metrics are at http://%s:%d/metrics", *self._server.server_address[:2])

    def begin_shut_down(self) -> None:
        """Runs that end are still told of."""

    def shut_down(self, seconds: float) -> None:
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join(max(0.0, seconds))
        self._server.server_close()


def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The WSGI application."""
    if environ["PATH_INFO"] != "/metrics":
        return _plainly(start_response, "404 Not Found", b"there is only /metrics here\n")
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return _plainly(start_response, "405 Method Not Allowed", b"it is read by GET\n", ("Allow", "GET, HEAD"))
    return _plainly(start_response, "200 OK", exposition(), ("Cache-Control", "no-store"), content_type=CONTENT_TYPE)


def _plainly(
    start_response: StartResponse,
    status: str,
    body: bytes,
    *headers: tuple[str, str],
    content_type: str = "text/plain; charset=utf-8",
) -> Iterable[bytes]:
    own = [("Content-Type", content_type), ("Content-Length", str(len(body))), *FOR_BROWSERS.items()]
    start_response(status, [*own, *headers])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any, **options: Any) -> None:
        self._places = BoundedSemaphore(MAX_CLIENTS)
        super().__init__(*args, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread was to be had.
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        log.info("a client of the metrics has gone: %s", client_address)


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS
    default_request_version = "HTTP/1.0"
    """Of a first line that has none: the answer has a header all the same."""
    error_content_type = "application/problem+json"
    error_message_format = '{"type": "about:blank", "title": "%(message)s", "status": %(code)d}\n'

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request of HTTP. The message would repeat what was sent."""
        super().send_error(code)

    def end_headers(self) -> None:
        """Of such an answer; others go another way."""
        for name, value in FOR_BROWSERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: there is a request every few seconds."""
