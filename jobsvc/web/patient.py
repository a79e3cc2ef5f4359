"""How long requests wait for the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jobsvc.patience import REQUEST_SECONDS, patience

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Patient:
    """WSGI middleware: all that a request does in the database before its answer begins waits `seconds` at most.

    That is for the whole of it, and what a request asks for by `wait` replaces it.
    """

    def __init__(self, app: WSGIApplication, seconds: float = REQUEST_SECONDS) -> None:
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._seconds = seconds

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with patience(self._seconds):
            return self._app(environ, start_response)
