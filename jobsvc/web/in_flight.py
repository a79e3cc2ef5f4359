"""Which requests are being answered, so that a shutdown can wait for them under any server; and how each went."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any

from werkzeug.wsgi import ClosingIterator

from jobsvc.web.measuring import Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def when_closed(answer: Iterable[bytes], environ: WSGIEnvironment, done: Callable[[], None]) -> Iterable[bytes]:
    """The answer, whose `close` also calls `done`; the server must call it (PEP 3333)."""
    if _is_file(answer, environ):
        return _file_when_closed(answer, done)
    return ClosingIterator(answer, done)


FIRST_SECONDS = 0.05
"""For so long a request that has come goes ahead of threads that compute: far longer than most take."""


class InFlight:
    """WSGI middleware that counts the requests whose answers are not yet sent whole.

    `_changed` guards `_count`. `_first_until` is written by any thread, and the last one counts.
    """

    def __init__(self, app: WSGIApplication, told_by_server: str = "") -> None:
        """A server may say itself when a request has `come` and is `answered`: it says so in the request's environment,
        under the name `told_by_server`."""
        self._told_by_server = told_by_server
        self._app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]] = app
        self._changed = Condition()
        self._count = 0
        self._first_until = 0.0
        """When the latest request will have been first for long enough; on the monotonic clock."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        with self._changed:
            self._count += 1
        self.come()
        exchange = Exchange(environ)

        def done() -> None:
            self._done()
            if not environ.get(self._told_by_server):
                self.answered()
            exchange.end()

        try:
            answer = self._app(environ, exchange.noting_status(start_response))
        except BaseException:
            done()
            raise
        return when_closed(answer, environ, done)

    def come(self) -> None:
        """A request has come, and is to go first: also before a thread has it."""
        self._first_until = monotonic() + FIRST_SECONDS

    def answered(self) -> None:
        """A request was answered. Another one that goes on is not waited for by everybody again and again."""
        self._first_until = 0.0

    def first_for(self) -> float:
        """Seconds for which a request is to go first from now on, unless it is answered before; 0: there is none.

        For threads that compute: each takes the interpreter's lock from requests, which
        want it for moments only, but often.
        """
        return max(0.0, self._first_until - monotonic())

    def wait(self, seconds: float) -> bool:
        """Wait until no request is being answered. Returns False if that takes longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)

    def _done(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()


def _is_file(answer: Iterable[bytes], environ: WSGIEnvironment) -> bool:
    """Whether the answer is of the server's own kind for files, which it must be able to recognise (PEP 3333)."""
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and isinstance(answer, wrapper) and hasattr(answer, "__dict__")


def _file_when_closed(answer: Any, done: Callable[[], None]) -> Iterable[bytes]:
    """The same object, so that the server sends the file by itself."""
    close = getattr(answer, "close", None)

    def close_and_tell() -> None:
        try:
            if close is not None:
                close()
        finally:
            done()

    answer.close = close_and_tell
    told: Iterable[bytes] = answer
    return told
