"""How long a transaction waits for others: a deadline over everything that stands in its way.

A request sets one for all that it does in the database (`time_limit`), and each of
its transactions waits as long as is left of it: for the turn, the lock of the
file, a connection, a row. Work in the background sets none: each of its transactions
has `BACKGROUND_SECONDS`, counted from its turn on, and is begun again later.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

REQUEST_SECONDS = 5.0
"""How long a request waits for others, unless it says otherwise by `wait`."""

MIN_SECONDS = 1.0
"""How long a request with `wait=0` still waits: a batch that is being committed takes a moment."""

BACKGROUND_SECONDS = 30.0


class Deadline:
    """A moment on the monotonic clock. Never changes."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = monotonic() + seconds

    def left(self) -> float:
        """Seconds until then; 0 when it is over."""
        return max(0.0, self._at - monotonic())


_current: ContextVar[Deadline | None] = ContextVar("jobsvc_deadline", default=None)
"""The deadline of what this thread is doing."""


@contextmanager
def time_limit(seconds: float) -> Iterator[Deadline]:
    """Have the transactions that this thread begins in the block wait for `seconds` at most, all of them together.

    One within another replaces it for as long as it lasts.
    """
    deadline = Deadline(seconds)
    with applied(deadline):
        yield deadline


@contextmanager
def applied(deadline: Deadline | None) -> Iterator[None]:
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def left() -> float | None:
    """Seconds until the deadline that the caller's thread has; None if it has none."""
    deadline = _current.get()
    return None if deadline is None else deadline.left()


def current() -> Deadline | None:
    """The deadline that the caller's thread has, if any."""
    return _current.get()
