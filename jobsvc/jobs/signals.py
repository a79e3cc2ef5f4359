"""What a run looks at before every item."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition, Event
from time import monotonic


class Signals:
    """The requests that reach one run.

    `stop` is set for a pause, a terminate and a shutdown alike, so that the run
    has one thing to look at. What was asked is read from the job's row, which is
    the truth; only a shutdown, which concerns the process and not the job, is
    told by `shutting_down`. Both are written by other threads and read by the
    run without a lock: an Event and a bool that only ever turns true.

    The run is told before what is asked is written, which can take a while on a
    database that is in trouble: it takes no item meanwhile. `_asked` guards
    `_being_asked`, the number of requests that are being written.
    """

    __slots__ = ("_asked", "_being_asked", "shutting_down", "stop")

    def __init__(self) -> None:
        self.stop = Event()
        self.shutting_down = False
        self._asked = Condition()
        self._being_asked = 0

    def begin_asking(self) -> None:
        """Something is about to be asked of the job: the run stops, and waits for it. `end_asking` follows."""
        with self._asked:
            self._being_asked += 1
            self.stop.set()

    def end_asking(self) -> None:
        """It is written, or won't be."""
        with self._asked:
            self._being_asked -= 1
            self._asked.notify_all()

    def heed(self) -> None:
        """The run has seen that it is to stop, and is about to read what was asked: what comes later stops it again.

        Waits for what is being written; each request has a deadline.
        """
        with self._asked:
            self._asked.wait_for(lambda: self._being_asked == 0 or self.shutting_down)
            if not self.shutting_down:
                self.stop.clear()

    def shut_down(self) -> None:
        """Ask the run to commit and leave because the process ends."""
        with self._asked:
            self.shutting_down = True
            self.stop.set()
            self._asked.notify_all()


class FleetSignals(Signals):
    """The same, where the request to stop comes through the fleet's queue.

    `should_abort` is asked before every item; it must look at nothing but memory.
    """

    __slots__ = ()

    def __init__(self, should_abort: Callable[[], bool]) -> None:
        super().__init__()
        self.stop = AbortableEvent(should_abort)


LOOK_SECONDS = 0.05
"""How often one who waits for an AbortableEvent asks whether to abort."""


class AbortableEvent(Event):
    """An Event that is also set once `should_abort` says yes, until it is cleared: an abort is asked for only once."""

    def __init__(self, should_abort: Callable[[], bool]) -> None:
        super().__init__()
        self._should_abort = should_abort
        self._aborted = False
        """Whether the abort was seen, and cleared; used by the run's own thread alone."""

    def is_set(self) -> bool:
        return super().is_set() or (not self._aborted and self._should_abort())

    def clear(self) -> None:
        if self._should_abort():
            self._aborted = True
        super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else monotonic() + timeout
        while not self.is_set():
            left = LOOK_SECONDS if deadline is None else min(LOOK_SECONDS, deadline - monotonic())
            if left <= 0:
                return False
            super().wait(left)
        return True
