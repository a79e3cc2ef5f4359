"""Whose turn it is to write to SQLite.

SQLite lets one connection write at a time, and those that wait for it poll with
growing pauses, so that the unlucky starve. Here they queue instead: first come,
first served, with the short writes that a client waits for (urgent) ahead of
the batches of running jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock


class WriteTurn:
    """A mutual exclusion that is handed on in order.

    `_lock` guards `_taken` and the two queues; it is held for a few
    instructions only. Each waiter brings a lock of its own, already held, and
    blocks on it until the one before it lets it go.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._urgent: deque[Lock] = deque()
        self._ordinary: deque[Lock] = deque()

    @contextmanager
    def held(self, urgent: bool = False) -> Iterator[None]:
        """Wait for the turn, and have it for the block's length."""
        self._take(self._urgent if urgent else self._ordinary)
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, queue: deque[Lock]) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            queue.append(mine)
        mine.acquire()

    def _pass_on(self) -> None:
        with self._lock:
            waiting = self._urgent or self._ordinary
            if waiting:
                waiting.popleft().release()
            else:
                self._taken = False
