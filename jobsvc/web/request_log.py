"""One line for each request, once its answer was sent; and the request's id, on each line that it causes.

A client may give the id (`X-Request-ID`), so that one question is found in the logs of
all services that it went through; each answer has it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flask import Flask, request

from jobsvc.logs import about
from jobsvc.logs.formatting import IN_MESSAGE
from jobsvc.traces import spans
from jobsvc.traces.spans import Span
from jobsvc.web.in_flight import when_closed
from jobsvc.web.measuring import METHODS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

HEADER = "X-Request-ID"

MAX_CHARACTERS = 128
_WELL_FORMED = re.compile(rf"[!-~]{{1,{MAX_CHARACTERS}}}")
"""Printable ASCII without spaces: what can stand in any log and any header."""

KEY = "jobsvc.request"
"""Where the request's `_Request` is in the WSGI environment."""

SENT = "jobsvc.sent"
"""Where a server finds whom to tell what it really has sent: `(status, bytes, whole)`, before it closes the answer."""

ASKED_ALL_THE_TIME = frozenset({"/healthz", "/readyz", "/metrics"})
"""Routes that machines ask, every few seconds: their lines are for debugging, unless something is wrong, and they have
no spans."""

TRACE_CONTEXT = ("traceparent", "tracestate")
"""Headers that say what a request is a part of (W3C Trace Context)."""


class _Request:
    """What the line of a request tells. For the request's own thread."""

    def __init__(self, environ: WSGIEnvironment, begun: float) -> None:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        self.id = given if _WELL_FORMED.fullmatch(given) else uuid4().hex
        self.method = environ.get("REQUEST_METHOD", "")
        self.path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
        self.client = environ.get("REMOTE_ADDR")
        self.begun = begun
        self.route: str | None = None
        self.status = 500
        self.bytes = 0
        self.whole = True
        self.told_by_server = False

    def sent(self, status: int, size: int, whole: bool) -> None:
        self.status, self.bytes, self.whole, self.told_by_server = status, size, whole, True

    def write_line(self, now: float) -> None:
        level = logging.WARNING if self.status >= 500 else logging.INFO
        if self.route in ASKED_ALL_THE_TIME and self.status < 400:
            level = logging.DEBUG
        if not log.isEnabledFor(level):
            return
        more = {} if self.whole else {"broken_off": True}
        fields = {
            "method": self.method,
            "path": self.path,
            "route": self.route,
            "status": self.status,
            "bytes": self.bytes,
            "seconds": round(now - self.begun, 4),
            "client": self.client,
            **more,
            IN_MESSAGE: ("method", "path", "status"),
        }
        log.log(level, "%s %s %d", self.method, self.path, self.status, extra=fields)

    @property
    def known_method(self) -> str:
        return self.method if self.method in METHODS else "_OTHER"

    def tell(self, span: Span) -> None:
        """What its span has, by OpenTelemetry's names where it has some. The path is left out: ids are in it."""
        job = about.current().get("job")
        if self.route is not None:
            span.rename(f"{self.known_method} {self.route}")
        span.note(
            {
                "http.request.method": self.known_method,
                "http.route": self.route,
                "http.response.status_code": self.status,
                "http.response.body.size": self.bytes,
                "jobsvc.request_id": self.id,
                "jobsvc.job.id": job if isinstance(job, str) else None,
                "jobsvc.broken_off": None if self.whole else True,
            }
        )
        if self.status >= 500:
            span.fail(str(self.status))


def _span_of(one: _Request, environ: WSGIEnvironment) -> Span:
    """The request's span, if anybody is told of it. Its route is not known yet."""
    if not spans.is_on() or one.path in ASKED_ALL_THE_TIME:
        return spans.NOTHING
    found = {name: environ.get(f"HTTP_{name.upper()}") for name in TRACE_CONTEXT}
    return spans.request(one.known_method, {name: text for name, text in found.items() if text is not None})


class RequestLog:
    """WSGI middleware, the outermost: gives each request an id, and writes its line."""

    def __init__(self, app: WSGIApplication, clock: Callable[[], float] = perf_counter) -> None:
        """`clock` is in seconds."""
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._clock = clock

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        one = _Request(environ, self._clock())
        environ[KEY], environ[SENT] = one, one.sent
        told = _span_of(one, environ)
        told.__enter__()
        token = about.begin({"request_id": one.id, **told.fields})

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], object]:
            one.status = int(status[:3])
            return start_response(status, [*headers, (HEADER, one.id)], *more)

        def done() -> None:
            one.write_line(self._clock())
            if spans.is_on():
                one.tell(told)
            told.__exit__(None)
            # A server that tells what it has sent has more to say of the request: it ends the fields itself.
            if not one.told_by_server:
                about.end(token)

        try:
            answer = self._app(environ, start)
        except BaseException:
            done()
            raise
        closed = when_closed(answer, environ, done)
        return closed if closed is answer else _Counted(closed, one)


class _Counted:
    """An answer whose bytes are counted, for a server that does not tell."""

    def __init__(self, answer: Iterable[bytes], one: _Request) -> None:
        self._pieces, self._one = iter(answer), one
        self.close: Callable[[], None] = answer.close  # type: ignore[attr-defined]

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        if not self._one.told_by_server:
            self._one.bytes += len(piece)
        return piece


def register(app: Flask) -> None:
    app.before_request(_note)


def _note() -> None:
    """Before anything else is done about the request: which route it is. Whose it is, `web/access.py` notes."""
    one = request.environ.get(KEY)
    if isinstance(one, _Request):
        one.route = request.url_rule.rule if request.url_rule is not None else None
        job_id = (request.view_args or {}).get("job_id")
        about.add(job=job_id)
