"""Whose turn it is to write to SQLite.

SQLite lets one connection write at a time, and those that wait for it poll with
growing pauses, so that the unlucky starve. Here they queue instead: first come,
first served, with the short writes that a client waits for (urgent) ahead of
the batches of running jobs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import TIMEOUT_MAX, Lock

from jobsvc.store.errors import DatabaseBusy


def _never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class _Waiter:
    """One who waits. Its `lock` is held until the one before it lets it go."""

    urgent: Callable[[], bool]
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.lock.acquire()


class WriteTurn:
    """A mutual exclusion that is handed on in order.

    `_lock` guards `_taken` and `_waiting`; it is held for a few instructions only.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[_Waiter] = deque()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for the turn at this moment."""
        return bool(self._waiting)

    def is_wanted_urgently(self) -> bool:
        """Whether somebody waits for the turn at this moment who goes ahead of batches."""
        with self._lock:
            return any(waiter.urgent() for waiter in self._waiting)

    @contextmanager
    def held(self, urgent: Callable[[], bool] = _never, within: float | None = None) -> Iterator[None]:
        """Wait for the turn, and have it for the block's length.

        `urgent` is asked each time the turn is handed on, since a writer may come to be
        in a hurry while it waits. It must not block. Raises DatabaseBusy if the turn
        has not come `within` so many seconds; None: wait as long as it takes.
        """
        self._take(urgent, within)
        try:
            yield
        finally:
            self._pass_on()

    def _take(self, urgent: Callable[[], bool], within: float | None = None) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            me = _Waiter(urgent)
            self._waiting.append(me)
        try:
            if not me.lock.acquire(timeout=-1 if within is None else min(within, TIMEOUT_MAX)):
                raise DatabaseBusy("others were writing all the time")
        except BaseException:
            # Too late, or a signal handler raised.
            self._give_up(me)
            raise

    def _give_up(self, waiter: _Waiter) -> None:
        """Leave the queue, or hand on the turn that came just now."""
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self._pass_on()

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._taken = False
                return
            first = next((waiter for waiter in self._waiting if waiter.urgent()), self._waiting[0])
            self._waiting.remove(first)
            first.lock.release()
