"""Whether the service can take work: the database takes a write, and the disks have room."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from jobsvc.store.database import Database
from jobsvc.store.disk.room import Room

GOOD_SECONDS = 1.0
"""How long a write that went well answers further calls too."""


class Readiness:
    """Safe to share among threads: two that ask at the same time may both try, which does no harm."""

    def __init__(self, database: Database, room: Room, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._room = room
        self._clock = clock
        self._good_until = 0.0

    def fault(self) -> str | None:
        """What is wrong, in words; None if nothing is."""
        if self._clock() >= self._good_until:
            fault = self._database.fault() or self._database.write_fault()
            if fault is not None:
                return fault
            self._good_until = self._clock() + GOOD_SECONDS
        return self._room.shortage()
