"""Counting and timing requests, by the route that took them."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from jobsvc.metrics.instruments import DOWNLOADS, REQUEST_SECONDS, REQUESTS, UNKNOWN_ROUTE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXCHANGE = "jobsvc.exchange"
"""Where a request's environment keeps its `Exchange`."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})

OTHER_METHOD = "other"


class Exchange:
    """A request and its answer. Belongs to the thread that answers it."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._begun = monotonic()
        self._method = environ.get("REQUEST_METHOD", "")
        self._status = "500"
        self._downloads = False
        self._ended = False
        self.route = UNKNOWN_ROUTE
        environ[EXCHANGE] = self

    def noting_status(self, start_response: StartResponse) -> StartResponse:
        def start(status: str, *more: Any) -> Any:
            self._status = status.partition(" ")[0]
            return start_response(status, *more)

        return start

    def begin_download(self) -> None:
        self._downloads = True
        DOWNLOADS.inc()

    def end(self) -> None:
        """The answer was handed over whole, or nobody takes it any more. Only the first call does anything."""
        if self._ended:
            return
        self._ended = True
        if self._downloads:
            DOWNLOADS.dec()
        method = self._method if self._method in METHODS else OTHER_METHOD
        REQUESTS.labels(route=self.route, method=method, status=self._status).inc()
        REQUEST_SECONDS.labels(route=self.route).observe(monotonic() - self._begun)


def register(app: Flask) -> None:
    app.before_request(_note_route)
    app.after_request(_note_download)


def _note_route() -> None:
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None and request.url_rule is not None:
        exchange.route = request.url_rule.rule


def _note_download(answer: Response) -> Response:
    exchange = request.environ.get(EXCHANGE)
    if exchange is not None and answer.headers.get("Content-Disposition", "").startswith("attachment"):
        exchange.begin_download()
    return answer
