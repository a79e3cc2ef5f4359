"""Taking a job to work on it: by its turn, or by its entry in the fleet's queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping

from jobsvc.jobs.job import Job
from jobsvc.runs.crashes import MAX_DELAY_SECONDS, PROBATION_SECONDS, SUSPECT_AFTER, somebody_on_probation
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows
from jobsvc.store.queries.job_rows import Due


class Claims:
    """Claims jobs, each as a new attempt, which fences off the one before.

    `first` finds the row of the one whose turn it is among those that are due,
    `next_due` when another one will be due, `begin` makes it begun and returns it. A
    job can be claimed while it is `wanted`, and is `begun` then. Beginning takes from
    what a full disk has in `reserve`, or does not. `claim` is for one thread alone,
    `claim_entry` for any.
    """

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        first: Callable[[Connection, Due], RowMapping | None],
        next_due: Callable[[Connection, datetime], datetime | None],
        begin: Callable[[Connection, Job], Job],
        wanted: Callable[[Job], bool],
        begun: Callable[[Job], bool],
        reserve: bool,
    ) -> None:
        self._database = database
        self._now = now
        self._first, self._next_due, self._begin = first, next_due, begin
        self._wanted, self._begun = wanted, begun
        self._reserve = reserve
        self._doubtful: Job | None = None
        """What was being claimed when the database went away."""
        self._due_in: float | None = None

    def claim(self) -> Job | None:
        """Take the job whose turn it is; None if none is wanted, or none is due."""
        if (claimed := self._claimed_after_all()) is not None:
            return claimed
        return self._claim()

    @again_on_conflict
    def _claim(self) -> Job | None:
        with self._database.write(urgent=True, reserve=self._reserve) as connection:
            job = self._next(connection)
            if job is None:
                return None
            self._doubtful = claimed = self._begin(connection, job)
        self._doubtful = None
        return claimed

    def due_in(self) -> float | None:
        """Seconds from the latest `claim`, if it found nothing, until it may find something; None: when it is told."""
        return self._due_in

    @again_on_conflict
    def claim_entry(self, key: int, entry: int, put_back: Callable[[Connection, Job], None]) -> Job | None:
        """Take the job that an entry of the fleet's queue stands for; None if that is not wanted, or not by this entry.

        One that has to wait for another suspect gets a new entry from `put_back`. A
        claim that breaks off may have been committed: then nobody works on the job,
        until it is found without an entry.
        """
        with self._database.write(urgent=True, reserve=self._reserve) as connection:
            job = Job.from_row(job_rows.by_key(connection, key, lock=True))
            if job.queue_entry != entry or not self._wanted(job):
                return None
            if self._is_held(connection, job):
                put_back(connection, job)
                return None
            return self._begin(connection, job)

    def _next(self, connection: Connection) -> Job | None:
        now = self._now()
        due = Due(now, now + timedelta(seconds=MAX_DELAY_SECONDS))
        row = self._first(connection, due)
        held = row is not None and self._is_held(connection, Job.from_row(row))
        if held:
            row = self._first(connection, Due(due.now, due.horizon, crashes_below=SUSPECT_AFTER))
        if row is None:
            at = self._next_due(connection, now)
            seconds = [] if at is None else [min(MAX_DELAY_SECONDS, (at - now).total_seconds())]
            self._due_in = min([*seconds, PROBATION_SECONDS] if held else seconds, default=None)
            return None
        return Job.from_row(row)

    def _is_held(self, connection: Connection, job: Job) -> bool:
        """Whether a job has to wait for another suspect; if not, no other one begins before this one has."""
        if job.crashes < SUSPECT_AFTER:
            return False
        self._database.backend.lock_for_suspects(connection)
        return somebody_on_probation(connection, self._now())

    def _claimed_after_all(self) -> Job | None:
        """The job whose claim broke off, if it was committed nevertheless: nobody else will work on it."""
        doubtful = self._doubtful
        if doubtful is None:
            return None
        with self._database.write(urgent=True) as connection:
            job = Job.from_row(job_rows.by_key(connection, doubtful.key, lock=True))
        self._doubtful = None
        return job if job.attempt == doubtful.attempt and self._begun(job) else None
