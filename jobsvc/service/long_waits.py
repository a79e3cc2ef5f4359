"""Bounds how many requests wait for a run, and how long: each holds a thread of the server while it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import BoundedSemaphore
from typing import Protocol

from jobsvc.deadlines import Deadline

MOST = 16
"""Half of the threads that answer requests."""

SHORT_SECONDS = 1.0
"""What is asked for is durable: a request that can't wait longer is told that it is under way."""


class Threads(Protocol):
    """Those of the server that answers the request. What takes one returns False, at once, where it may not wait."""

    def take_to_wait_long(self) -> bool: ...
    def give_back_from_long_wait(self) -> None: ...
    def take_to_wait_shortly(self) -> bool: ...
    def give_back_from_short_wait(self) -> None: ...


_threads: ContextVar[Threads | None] = ContextVar("jobsvc_threads", default=None)
"""Of the server that answers the request that this thread has, if it counts them."""


@contextmanager
def waits_among(threads: Threads) -> Iterator[None]:
    """Have what this thread waits for in the block count among the threads of the server."""
    token = _threads.set(threads)
    try:
        yield
    finally:
        _threads.reset(token)


class UncountedThreads:
    """Under a server that does not count: `most` wait long, and any number shortly. Safe to share among threads."""

    def __init__(self, most: int = MOST) -> None:
        self._free = BoundedSemaphore(most)

    def take_to_wait_long(self) -> bool:
        return self._free.acquire(blocking=False)

    def give_back_from_long_wait(self) -> None:
        self._free.release()

    def take_to_wait_shortly(self) -> bool:
        return True

    def give_back_from_short_wait(self) -> None:
        """Nothing was taken."""


class LongWaits:
    """Safe to share among threads: `Threads` are."""

    def __init__(self, uncounted: Threads | None = None, short: float = SHORT_SECONDS) -> None:
        self._uncounted = uncounted or UncountedThreads()
        self._short = short

    @contextmanager
    def bounded(self, until: Deadline) -> Iterator[Deadline]:
        """The deadline for the block: the one given, a short one if too many others wait long, or none at all."""
        threads = _threads.get() or self._uncounted
        left = until.left()
        if left > self._short and threads.take_to_wait_long():
            try:
                yield until
            finally:
                threads.give_back_from_long_wait()
        elif left and threads.take_to_wait_shortly():
            try:
                yield until if left <= self._short else Deadline(self._short)
            finally:
                threads.give_back_from_short_wait()
        else:
            yield Deadline(0)
