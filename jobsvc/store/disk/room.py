"""How much room there is on the disks that the service fills, and what to do while there is little."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from time import monotonic
from types import MappingProxyType

from jobsvc.store.disk.reserve import Reserve

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How long to rely on the last look at the disks."""

FIRST_DELAY_SECONDS = 5.0
MAX_DELAY_SECONDS = 60.0
"""After a write has failed, there is no room for so long, whatever the disk says; longer each time."""

CALM_SECONDS = 600.0
"""After so long without such a failure, the delay begins at the first one again."""

FULL = "the disk is full"


class Room:
    """Safe to share among threads. Without places, there is always room.

    `_lock` guards `_pause`, `_full_at` and `_full_until`. The thread that looks at the
    disks holds `_looking`. The others don't wait for it, and take what was found last:
    one reference, written by one thread and read by all.
    """

    def __init__(
        self,
        places: Mapping[str, Path] = MappingProxyType({}),
        least: int = 0,
        reserve: Reserve | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`places` are directories by what is in them; `least` is how many bytes to keep free on each; 0: none."""
        self._places = places
        self._least = least
        self._reserve = reserve
        self._clock = clock
        self._lock = Lock()
        self._looking = Lock()
        self._look_at = 0.0
        self._shortage: str | None = None
        self._pause = FIRST_DELAY_SECONDS
        self._full_at: float | None = None
        self._full_until = 0.0

    def shortage(self) -> str | None:
        """Why nothing should begin to fill a disk now, in words; None if there is room. Costs next to nothing."""
        now = self._clock()
        if now >= self._look_at and self._looking.acquire(blocking=False):
            try:
                self._look(now)
            finally:
                self._looking.release()
        return FULL if now < self._full_until else self._shortage

    def before_urgent(self) -> None:
        """Somebody waits for a small write: if there may not be room for it, give the reserve up."""
        reserve = self._reserve
        if reserve is not None and reserve.is_kept and _free(reserve.path.parent, reserve.size) < reserve.size:
            self._give_up(reserve)

    def note_full(self, *, urgent: bool) -> None:
        """A write has just failed for want of room. If it was an urgent one, the next has the reserve's."""
        now = self._clock()
        with self._lock:
            if now >= self._full_until:
                again = self._full_at is not None and now - self._full_at < CALM_SECONDS
                self._pause = min(MAX_DELAY_SECONDS, 2 * self._pause) if again else FIRST_DELAY_SECONDS
                self._full_at, self._full_until = now, now + self._pause
                log.warning("%s: runs wait for %g s and more", FULL, self._pause)
        if urgent and self._reserve is not None and self._reserve.is_kept:
            self._give_up(self._reserve)

    def _give_up(self, reserve: Reserve) -> None:
        log.warning("%s: %s is removed, so that what is urgent can be written", FULL, reserve.path)
        reserve.give_up()

    def _look(self, now: float) -> None:
        # Once there is too little, somewhat more than the least is needed: or the answer would go to and fro.
        least = self._least + (self._least // 8 if self._shortage else 0)
        found = None
        for what, directory in self._places.items() if least else ():
            if (free := _free(directory, least)) < least:
                found = (
                    f"the disk of the {what} is nearly full: {free >> 20} MiB are free, "
                    f"and {self._least >> 20} MiB are to stay so (JOBSVC_MIN_FREE_BYTES)"
                )
                break
        if (found is None) != (self._shortage is None):
            log.warning("%s", found or "there is room on the disk again")
        self._shortage = found
        reserve = self._reserve
        if reserve is not None and not reserve.is_kept and found is None and now >= self._full_until:
            more = self._least + 2 * reserve.size
            if _free(reserve.path.parent, 0) >= more:
                reserve.keep()
        self._look_at = self._clock() + LOOK_SECONDS


def _free(directory: Path, otherwise: int) -> int:
    """How many bytes can be written there; `otherwise` if the system does not say."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return otherwise
    return found.f_bavail * found.f_frsize
