"""Beginning no run while there is no room for what it would write."""

from __future__ import annotations

import logging

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from jobsvc.store.disk.room import Room
from jobsvc.store.errors import DiskFull

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often a job that waits for room looks whether there is some."""


class RoomGate:
    """The runs of a `Runner`, each of which begins only while there is room. Implements `engines.threads.Jobs`.

    `claim` and `due_in` are for one thread alone.
    """

    def __init__(self, runner: Runner, room: Room) -> None:
        self._runner, self._room = runner, room
        self._turned_away = False
        """Whether the latest claim came to nothing for want of room."""

    def claim(self) -> Job | None:
        """The next job; None if there is none, none is due, or there is no room."""
        self._turned_away = True
        if self._room.shortage() is not None:
            return None
        try:
            claimed = self._runner.claim()
        except DiskFull as error:
            log.warning("the next job waits: %s", error)
            return None
        self._turned_away = False
        return claimed

    def due_in(self) -> float | None:
        """Seconds from the latest `claim`, if it came to nothing, until another may come to something."""
        return LOOK_SECONDS if self._turned_away else self._runner.due_in()

    def new_signals(self) -> Signals:
        return Signals()

    def run(self, job: Job, signals: Signals) -> State | None:
        return self._runner.run(job, signals)
