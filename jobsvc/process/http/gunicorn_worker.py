"""gunicorn's threaded worker, whose clients can't keep others waiting.

Its main loop never waits for a client (see `loop`). A thread waits for one only in an
upload or a large answer, for which there are fewer slots than threads, and within the
bounds of `ClientTimeouts`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from threading import Barrier
from typing import Any

from gunicorn.http import wsgi  # type: ignore[import-untyped]

from jobsvc.process.http.answer import Answer
from jobsvc.process.http.application_errors import of_application
from jobsvc.process.http.beyond_wsgi import PLACE, TELLS_OF_ANSWERS, WaitingPlace
from jobsvc.process.http.body import DirectBody
from jobsvc.process.http.client_socket import ClientTooSlow
from jobsvc.process.http.connection import Connection, hold_back_continue
from jobsvc.process.http.loop import HttpLoop
from jobsvc.process.http.malformed import in_place_of


class HttpWorker(HttpLoop):
    """What runs on the threads of the pool, which have one connection each."""

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse, at the start, what this worker can't do."""
        super().check_config(cfg, log)
        if cfg.threads < 2:
            raise RuntimeError(
                f"--threads {cfg.threads}: at least 2 are needed, one for transfers and one for the rest"
            )
        if cfg.is_ssl:
            raise RuntimeError("--certfile, --keyfile: HTTPS is not spoken here; put a proxy that does in front")
        if "h2" in cfg.http_protocols or cfg.http2_cleartext != "off":
            raise RuntimeError(
                "--http-protocols, --http2-cleartext: HTTP/2 is not spoken here; put a proxy that does in front"
            )
        if cfg.protocol != "http":
            raise RuntimeError(f"--protocol {cfg.protocol}: only http is spoken here")

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """All threads begin at once: one that can't begin later would end the main loop, and the jobs with it."""
        pool: ThreadPoolExecutor = super().get_thread_pool()
        all_there = Barrier(self.cfg.threads + 1)
        try:
            for _ in range(self.cfg.threads):
                pool.submit(all_there.wait)
            all_there.wait()
        except RuntimeError:
            all_there.abort()
            raise
        return pool

    def handle(self, conn: Connection) -> bool:
        try:
            # What the application notes of a request for its thread's log lines ends with the request.
            keep = bool(copy_context().run(super().handle, conn))
            return _flushed(conn) and keep
        finally:
            if self._told is not None:
                self._told.answered()

    def handle_request(self, req: Any, conn: Connection) -> bool:
        environ: dict[str, Any] = {}
        resp: Answer | None = None
        try:
            self.cfg.pre_request(self, req)
            begun = datetime.now()  # noqa: DTZ005 (the access log subtracts)
            hold_back_continue(req, conn.sock)
            req.body = DirectBody(req, conn.sock)
            resp, environ = wsgi.create(req, conn.sock, conn.client, conn.server, self.cfg, response_class=Answer)
            environ["wsgi.multithread"] = True
            environ[TELLS_OF_ANSWERS] = self._told is not None
            environ[PLACE] = WaitingPlace(self._slots, conn.sock)
            self._count(resp)
            with of_application():
                pieces = self.wsgi(environ, resp.start_response)
            try:
                resp.send(pieces, conn, self._slots, is_file=isinstance(pieces, environ["wsgi.file_wrapper"]))
            finally:
                self.log.access(resp, req, environ, datetime.now() - begun)  # noqa: DTZ005
                if hasattr(pieces, "close"):
                    with of_application():
                        pieces.close()
            return not resp.should_close()
        except ClientTooSlow as error:
            self.log.warning("%s %s was given up: %s", req.method, req.path, error)
            return False
        finally:
            self.cfg.post_request(self, req, environ, resp)

    def _count(self, resp: Answer) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        if not self.alive or not self.cfg.keepalive or self.nr_conns >= self.worker_connections:
            resp.force_close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer with what went wrong; where the answer has begun to go out, it ends there."""
        if client.streams:
            self.log.error("the answer to %s broke off", getattr(req, "path", None), exc_info=exc)
            return
        client.unsent.clear()
        super().handle_error(req, client, addr, exc)
        client.unsent[:] = in_place_of(client.unsent, self.cfg)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """The unread rest of the body is in memory: otherwise the answer has said that the connection ends."""
        return keepalive and bool(conn.parser.finish_body())


def _flushed(conn: Connection) -> bool:
    """Send what was collected, as far as the client takes it. Returns False where the client has gone."""
    try:
        conn.sock.flush()
    except OSError:
        return False
    return True
