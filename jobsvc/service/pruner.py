"""The thread that forgets, now and then, what is past its time."""

from __future__ import annotations

import logging
from threading import Event, Thread
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from jobsvc.jobs.job import Job
from jobsvc.service.retention import Retention
from jobsvc.store.errors import DatabaseClosed, FilesDown, unexplained

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0
"""Time between two sweeps."""

FIRST_SWEEP_SECONDS = 5.0
"""How long after the start the first one begins: jobs that wait to go on come first."""


class Pruner:
    """Sweeps every `every` seconds, first after `first` seconds; clears up after a job that a client deletes."""

    def __init__(
        self, retention: Retention, *, first: float = FIRST_SWEEP_SECONDS, every: float = SWEEP_SECONDS
    ) -> None:
        self._retention = retention
        self._first, self._every = first, every
        self._stopped = Event()
        self._woken = Event()
        self._thread = Thread(target=self._live, name="jobsvc-pruner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def forget(self, job: Job, who: str) -> None:
        """`Retention.forget`; what rows it leaves are removed in a moment, on the thread."""
        self._retention.forget(job, who)
        self._woken.set()

    def begin_shut_down(self) -> None:
        """Do nothing further than the batch that is under way. Returns at once."""
        self._stopped.set()
        self._woken.set()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the thread to end."""
        self.begin_shut_down()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def _live(self) -> None:
        due = monotonic() + self._first
        while not self._stopped.is_set():
            woken = self._woken.wait(max(0.0, due - monotonic()))
            self._woken.clear()
            try:
                if woken:
                    self._retention.remove_rows(self._stopped.is_set)
                else:
                    self._retention.sweep(self._stopped.is_set)
            except DatabaseClosed:
                return
            except (SQLAlchemyError, OSError, FilesDown) as error:
                what = "not everything that is past its time could be forgotten, the next sweep tries again: %s"
                log.error(what, error, exc_info=unexplained(error))
            if not woken:
                due = monotonic() + self._every
