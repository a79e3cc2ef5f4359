"""Waiting for what was asked of a job: its run obeys, or the service does so for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from threading import Thread

from sqlalchemy import Connection

from jobsvc.deadlines import REQUEST_SECONDS, Deadline
from jobsvc.deadlines import left as time_left
from jobsvc.files.contract import Files
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import OBEYED, SERVICE, STOPPING, State
from jobsvc.jobs.stopping import Engine
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.runs.hooks import clean_up_terminated, tell
from jobsvc.service.long_waits import LongWaits
from jobsvc.service.lookup import Lookup, find
from jobsvc.service.notifier import Notifier
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy


class Settling:
    """Safe to share among threads: what it changes, it changes by compare-and-set in the database."""

    def __init__(
        self,
        database: Database,
        lookup: Lookup,
        files: Files,
        kinds: Mapping[str, Kind],
        engine: Engine,
        notifier: Notifier,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._lookup = lookup
        self._files = files
        self._kinds = kinds
        self._engine = engine
        self._notifier = notifier
        self._now = now
        self._long_waits = LongWaits()

    def settle(self, job: Job, version: int, until: Deadline) -> Job:
        """Wait for a job that is pausing or terminating to get there; if it has no run, obey for it.

        `version` is the notifier's, from before the job was read. What was asked for stands
        in the database: if that is locked now, the job is returned as it was last seen.
        """
        if job.state not in STOPPING:
            return job
        try:
            with self._long_waits.bounded(until) as bound:
                return self._settled(job, version, bound)
        except DatabaseBusy:
            return job

    def bounded(self, until: Deadline) -> AbstractContextManager[Deadline]:
        """Until when a request may wait for something else that jobs do: see `LongWaits`."""
        return self._long_waits.bounded(until)

    def _settled(self, job: Job, version: int, until: Deadline) -> Job:
        while job.state in STOPPING:
            if job.rollback is None and not self._engine.signal(job.key, job.attempt):
                # Most often it has just left because it has obeyed, which costs a read to see and not a write.
                job = self._lookup.get(job.id)
                ended = self._ended(job) if job.state in STOPPING else None
                if ended is not None:
                    self.tell([ended])
                self._notifier.notify()
            elif not self._notifier.wait(version, until.left()):
                return self._lookup.get(job.id)
            version = self._notifier.version()
            job = self._lookup.get(job.id)
        return job

    @again_on_conflict
    def _ended(self, seen: Job) -> Job | None:
        """Obey for a job that has no run. Returns it if it was this that ended what was asked for."""
        with self._database.write(urgent=True) as connection:
            job = find(connection, seen.id, lock=True)
            return self.end_request(connection, job) if job.attempt == seen.attempt else None

    def end_request(self, connection: Connection, job: Job) -> Job | None:
        """End what was asked of a job that has no run, and return it; None if there was nothing to end."""
        if job.state not in STOPPING or job.rollback is not None:
            return None
        why = "nothing was running, so there was nothing to wait for"
        ended = transition(connection, job, OBEYED[job.state], who=SERVICE, at=self._now(), why=why)
        if ended is not None and ended.state is State.TERMINATED:
            clean_up_terminated(connection, self._kinds.get(job.kind), job.key)
        return ended

    def tell(self, jobs: Sequence[Job]) -> None:
        """Do what follows when the caller has paused or terminated jobs.

        It is waited for as long as the request may wait. A store that hangs, or a hook
        that takes its time, goes on without it.
        """

        def follow() -> None:
            for job in jobs:
                if job.state is State.TERMINATED:
                    self._files.discard_output(job.id)
                tell(self._kinds, job)

        if not jobs:
            return
        aside = Thread(target=follow, name="jobsvc-told", daemon=True)
        aside.start()
        left = time_left()
        aside.join(REQUEST_SECONDS if left is None else left)
