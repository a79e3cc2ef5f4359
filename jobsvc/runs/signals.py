"""What a run looks at before every item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Condition, Event
from time import monotonic
from typing import Protocol


class StopEvent(Event):
    """An Event that also wakes its run where that waits for something else.

    The run's own thread alone waits, and writes `_wakes`. `set` first sets the flag and then reads it, and the run
    first writes it and then reads the flag: one of them sees the other.
    """

    _longest_wait: float | None = None
    """Seconds after which the run has to look by itself; None: whoever sets it wakes the run."""

    def __init__(self) -> None:
        super().__init__()
        self._wakes: Event | None = None

    def set(self) -> None:
        super().set()
        if (woken := self._wakes) is not None:
            woken.set()

    @contextmanager
    def waking(self, woken: Event) -> Iterator[float | None]:
        """Within the block, `woken` is set too when this is. Gives for how many seconds at most to wait for it."""
        self._wakes = woken
        try:
            yield self._longest_wait
        finally:
            self._wakes = None


class Signals:
    """The requests that reach one run.

    `stop` is set for a pause, a terminate and a shutdown alike, so that the run
    has one thing to look at. What was asked is read from the job's row, which is
    the truth; only a shutdown, which concerns the process (or, in a fleet, the
    queue worker that was given up) and not the job, is told by `shutting_down`. Both
    are written by other threads and read by the run without a lock: an Event and a
    bool that only ever turns true.

    The run is told before what is asked is written, which can take a while on a
    database that is in trouble: it takes no item meanwhile. `_asked` guards
    `_being_asked`, the number of requests that are being written.
    """

    __slots__ = ("_asked", "_being_asked", "shutting_down", "stop")

    def __init__(self) -> None:
        self.stop = StopEvent()
        self.shutting_down = False
        self._asked = Condition()
        self._being_asked = 0

    def begin_asking(self) -> None:
        """Something is about to be asked of the job: the run stops, and waits for it. `end_asking` follows."""
        with self._asked:
            self._being_asked += 1
            self.stop.set()

    def end_asking(self) -> None:
        """The request is written, or won't be."""
        with self._asked:
            self._being_asked -= 1
            self._asked.notify_all()

    @property
    def leaving(self) -> bool:
        """Whether the run is to leave its process, so that it goes on elsewhere or later."""
        return self.shutting_down

    def items_under_way(self) -> AbstractContextManager[object]:
        """Around items that look at `stop` before they begin."""
        return nullcontext()

    def asked_within(self, seconds: float) -> bool:
        """Wait up to so many seconds for a request."""
        return self.stop.wait(seconds)

    def acknowledge(self) -> None:
        """The run has seen that it is to stop, and is about to read what was asked: what comes later stops it again.

        Waits for what is being written; each request has a deadline.
        """
        with self._asked:
            self._asked.wait_for(lambda: self._being_asked == 0 or self.shutting_down)
            if not self.shutting_down:
                self.stop.clear()

    def shut_down(self) -> None:
        """Ask the run to commit and leave because its process, or its queue worker, ends."""
        with self._asked:
            self.shutting_down = True
            self.stop.set()
            self._asked.notify_all()


class Lease(Protocol):
    """For how long a worker of the fleet can be sure that nobody else has its jobs."""

    def is_closed(self) -> bool:
        """Whether no further item may begin. It is asked before every item."""

    def items_under_way(self) -> AbstractContextManager[object]:
        """Around items: what becomes of them when the lease ends is up to the lease."""


class NoLease:
    """Nobody else can have the jobs of this process."""

    def is_closed(self) -> bool:
        return False

    def items_under_way(self) -> AbstractContextManager[object]:
        return nullcontext()


class FleetSignals(Signals):
    """The same, where the request to stop comes through the fleet's queue, and the worker has a lease.

    `should_abort` is asked before every item; it must look at nothing but memory.
    """

    __slots__ = ("_event", "_lease")

    def __init__(self, should_abort: Callable[[], bool], lease: Lease | None = None) -> None:
        super().__init__()
        self._lease = lease or NoLease()
        self.stop = self._event = AbortableEvent(should_abort, self._lease.is_closed)

    @property
    def leaving(self) -> bool:
        return self.shutting_down or self._lease.is_closed()

    def items_under_way(self) -> AbstractContextManager[object]:
        return self._lease.items_under_way()

    def asked_within(self, seconds: float) -> bool:
        # A closed lease is no request: what waits here waits for the database to answer, and goes on waiting.
        return self._event.wait_asked(seconds)


LOOK_SECONDS = 0.05
"""Polling interval of a thread that waits for an AbortableEvent: whether to abort."""


class AbortableEvent(StopEvent):
    """An Event that is also set once `should_abort` says yes, until it is cleared: an abort is asked for only once.

    It is also set as long as `is_closed` says yes: then clearing it does nothing.
    """

    _longest_wait = LOOK_SECONDS

    def __init__(self, should_abort: Callable[[], bool], is_closed: Callable[[], bool] = lambda: False) -> None:
        super().__init__()
        self._should_abort, self._is_closed = should_abort, is_closed
        self._aborted = False
        """Whether the abort was seen, and cleared; used by the run's own thread alone."""

    def is_set(self) -> bool:
        return super().is_set() or self._is_closed() or (not self._aborted and self._should_abort())

    def is_asked(self) -> bool:
        """Whether it is set by somebody, or by an abort."""
        return super().is_set() or (not self._aborted and self._should_abort())

    def clear(self) -> None:
        if self._should_abort():
            self._aborted = True
        super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        return self._wait(self.is_set, timeout)

    def wait_asked(self, timeout: float) -> bool:
        return self._wait(self.is_asked, timeout)

    def _wait(self, is_set: Callable[[], bool], timeout: float | None) -> bool:
        deadline = None if timeout is None else monotonic() + timeout
        while not is_set():
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True
