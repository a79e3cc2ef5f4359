"""Which requests are being answered, so that a shutdown can wait for them under any server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Condition
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class InFlight:
    """WSGI middleware that counts the requests whose answers are not yet sent whole.

    `_changed` guards `_count`.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._changed = Condition()
        self._count = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._changed:
            self._count += 1
        try:
            return ClosingIterator(self._app(environ, start_response), self._done)
        except BaseException:
            self._done()
            raise

    def wait(self, seconds: float) -> bool:
        """Wait until no request is being answered. Returns False if that takes longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)

    def _done(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()
