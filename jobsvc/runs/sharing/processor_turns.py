"""Turns at the processor, of which the interpreter lets threads use one at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock

from jobsvc.runs.signals import StopEvent


class _Place:
    """Of one run in the queue."""

    __slots__ = ("has_turn", "woken")

    def __init__(self) -> None:
        self.has_turn = False
        self.woken = Event()


class ProcessorTurns:
    """Of one process. Safe to share among threads: `_lock` guards everything, for a few instructions only.

    Runs that prepare their batches take turns, first come, first served. Together they would be no quicker: each that
    wants the interpreter's lock wakes up two thousand times a second to ask for it, and takes a part of it from every
    request.

    Whoever has the turn computes. It waits for nobody, but for requests that go first.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[_Place] = deque()

    @contextmanager
    def turn(self, stop: StopEvent) -> Iterator[None]:
        """Prepare a batch in the block. A run that is to stop has little to prepare, and does not wait."""
        has_turn = self._take(stop)
        try:
            yield
        finally:
            if has_turn:
                self._pass_on()

    def _take(self, stop: StopEvent) -> bool:
        """Wait for the turn; returns False where the run is to stop before it has it."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return True
            place = _Place()
            self._waiting.append(place)
        has_waited = False
        try:
            self._wait(place, stop)
            has_waited = True
        finally:
            has_turn = self._leave(place)
            if has_turn and not has_waited:
                self._pass_on()
        return has_turn

    def _wait(self, place: _Place, stop: StopEvent) -> None:
        """Until it has the turn, or is to stop."""
        with stop.waking(place.woken) as longest:
            while not stop.is_set():
                place.woken.wait(longest)
                place.woken.clear()
                with self._lock:
                    if place.has_turn:
                        return

    def _leave(self, place: _Place) -> bool:
        """Leave the queue; returns whether it has the turn."""
        with self._lock:
            if not place.has_turn:
                self._waiting.remove(place)
            return place.has_turn

    def _pass_on(self) -> None:
        with self._lock:
            if not self._waiting:
                self._taken = False
                return
            place = self._waiting.popleft()
            place.has_turn = True
        place.woken.set()
