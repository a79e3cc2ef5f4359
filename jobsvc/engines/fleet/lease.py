"""Until when a worker may have items under way, by its own clock.

A lease closes first: no further item begins, and runs leave. A heartbeat that is taken opens it
again. Later it ends, for good: if an item is under way then, the process ends. Only items of
kinds that act outside of their checkpoint count (`Work.acts_at_once`): rows of `baselineCSV` and
`bulkTeam` take effect with the checkpoint alone, and never end the process.

The others give a worker up so many seconds after its last heartbeat, and settle its
jobs then. Nobody can ask a worker that is cut off, so it has to know by itself when
that may happen. A heartbeat is stamped by the database after it was sent: seconds
that are counted here from the sending are over before those that are counted there
from the stamp, whatever time the clocks show. Only durations are compared.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from threading import Lock, Thread

log = logging.getLogger(__name__)

CLOSE_AT = 0.8
"""The part of that time after which the lease is closed. Items under way have until its end."""

END_AT = 0.95
"""The part of it after which the lease has ended. The rest is for clocks that run unevenly."""

WATCH_SECONDS = 0.25
"""How often to look at the clock, since no timer tells that the machine was suspended."""

MIN_SECONDS = 0.001
"""0 would stand for no alarm."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def uptime() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(_CLOCK)


def set_alarm(seconds: float) -> None:
    """Have the kernel end the process after so many seconds; 0: not at all."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def allow_alarm() -> None:
    """Let an alarm end the process, whatever its parent has left it. On the main thread."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


class Lease:
    """The lease of one queue worker. Safe to share among threads; `_guard` guards all that changes.

    An item that is under way can't be called back when the lease ends. So the process
    ends with it: by an alarm, which reaches a process that was frozen before it does anything
    else, and by a thread, for processes that no alarm ends (the first one of a
    container) and machines that were suspended. A process has one alarm: only one of
    its queue workers may have `items_under_way`.
    """

    def __init__(
        self,
        stalled_after: float,
        *,
        clock: Callable[[], float] = uptime,
        alarm: Callable[[float], None] = set_alarm,
    ) -> None:
        """`stalled_after`: after how many seconds without a heartbeat the others give the worker up."""
        self._close_after, self._end_after = CLOSE_AT * stalled_after, END_AT * stalled_after
        self.clock, self._alarm = clock, alarm
        self._guard = Lock()
        self._close_at = -inf
        """Written under `_guard`, read without it: the look before every item takes no lock."""
        self._end_at = inf
        self._under_way = 0
        self._watch: Thread | None = None

    def begin(self, sent: float) -> None:
        """The worker was made known by what was sent at that time of `clock`."""
        with self._guard:
            self._set(sent)

    def renew(self, sent: float) -> bool:
        """A heartbeat was taken that was sent at that time. False if that is too late: the lease has ended."""
        with self._guard:
            if self.clock() >= self._end_at:
                return False
            self._set(sent)
        return True

    def is_closed(self) -> bool:
        """Whether no further item may begin, at least until the next heartbeat is taken."""
        return self.clock() >= self._close_at

    @contextmanager
    def items_under_way(self) -> Iterator[None]:
        """Around items that look at `is_closed` before they begin. If they outlast the lease, the process ends."""
        with self._guard:
            # After its end it is not renewed, and no item begins.
            counts = self.clock() < self._end_at
            if counts:
                self._under_way += 1
                self._arm()
        try:
            yield
        finally:
            if counts:
                self._end()

    def _end(self) -> None:
        with self._guard:
            self._under_way -= 1
            if self._under_way == 0:
                self._alarm(0)

    def _set(self, sent: float) -> None:
        self._close_at, self._end_at = sent + self._close_after, sent + self._end_after
        if self._under_way:
            self._arm()

    def _arm(self) -> None:
        if self._end_at < inf:
            self._alarm(max(MIN_SECONDS, self._end_at - self.clock()))
        if self._watch is None:
            self._watch = Thread(target=self._keep_watch, name="jobsvc-lease", daemon=True)
            self._watch.start()

    def _keep_watch(self) -> None:
        while True:
            with self._guard:
                under_way, left = self._under_way, self._end_at - self.clock()
            if under_way and left <= 0:
                log.critical("no heartbeat was taken in time, and an item is under way: the process ends")
                logging.shutdown()
                os._exit(1)
            time.sleep(min(WATCH_SECONDS, left) if under_way else WATCH_SECONDS)
