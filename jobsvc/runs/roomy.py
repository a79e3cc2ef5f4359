"""Beginning no run while there is no room for what it would write."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobsvc.jobs.job import Job
from jobsvc.store.disk.room import Room
from jobsvc.store.errors import DiskFull

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often is looked for room while something may wait for it."""


class Roomy:
    """Claims jobs by `claim`, but only while there is room. For one thread alone."""

    def __init__(
        self, room: Room, claim: Callable[[], Job | None], due_in: Callable[[], float | None] = lambda: None
    ) -> None:
        self._room = room
        self._claim, self._due_in = claim, due_in
        self._turned_away = False

    def claim(self) -> Job | None:
        """The next job; None if there is none, none is due, or there is no room."""
        self._turned_away = True
        if self._room.shortage() is not None:
            return None
        try:
            claimed = self._claim()
        except DiskFull as error:
            log.warning("the next job waits: %s", error)
            return None
        self._turned_away = False
        return claimed

    def due_in(self) -> float | None:
        """Seconds from the latest `claim`, if it came to nothing, until another may come to something."""
        return LOOK_SECONDS if self._turned_away else self._due_in()
