"""What a request waits for counts among the threads of the server, where the server counts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from jobsvc.service.long_waits import Threads, waits_among

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class ServersPlace(Protocol):
    threads: Threads


class CountedWaits:
    """WSGI middleware. `place` is the name in the WSGI environment of the `ServersPlace` that such a server leaves."""

    def __init__(self, app: WSGIApplication, place: str) -> None:
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._place = place

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        place: ServersPlace | None = environ.get(self._place)
        if place is None:
            return self._app(environ, start_response)
        with waits_among(place.threads):
            return self._app(environ, start_response)
