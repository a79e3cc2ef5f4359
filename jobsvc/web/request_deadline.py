"""How long requests wait for the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jobsvc.deadlines import REQUEST_SECONDS, time_limit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class RequestDeadline:
    """WSGI middleware: a request waits for the database `REQUEST_SECONDS` at most, until its answer begins.

    That is the limit for all transactions of the request together. A request's `wait`
    replaces it. Submitting a job begins a new limit, since its file may have taken long
    to arrive.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with time_limit(REQUEST_SECONDS):
            return self._app(environ, start_response)
