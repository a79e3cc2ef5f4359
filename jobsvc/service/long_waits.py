"""Bounds how many requests wait long for a run: each holds a thread of the server while it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from jobsvc.deadlines import Deadline

MOST = 16
"""Half of the threads that answer requests. The others answer everybody else, and requests that wait shortly."""

SHORT_SECONDS = 1.0
"""What is asked for is durable: a request that can't wait longer is told that it is under way."""


class LongWaits:
    """Safe to share among threads: the semaphore is its only state."""

    def __init__(self, most: int = MOST, short: float = SHORT_SECONDS) -> None:
        self._free = BoundedSemaphore(most)
        self._short = short

    @contextmanager
    def bounded(self, until: Deadline) -> Iterator[Deadline]:
        """The deadline for the block: the one given, or a short one if too many others wait long."""
        long = until.left() > self._short and self._free.acquire(blocking=False)
        try:
            yield until if long or until.left() <= self._short else Deadline(self._short)
        finally:
            if long:
                self._free.release()
