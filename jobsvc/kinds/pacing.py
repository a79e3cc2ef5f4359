"""Limiting how many items begin in a second."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from jobsvc.kinds.context import StopSign


class Pacer:
    """Spaces items evenly: no two begin within 1/`rate` seconds. Used by one thread.

    `rate` is in items per second; None: no limit. `clock` gives seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._next = clock()
        """When the next item may begin."""

    def wait(self, stopped: StopSign) -> bool:
        """Wait until the next item may begin. Returns False if `stopped` was set meanwhile: the item must not begin."""
        if self._rate is None:
            return True
        now = self._clock()
        begins = max(now, self._next)
        if begins > now and stopped.wait(begins - now):
            return False
        self._next = begins + 1 / self._rate
        return True
