"""Taking a job to work on it: by its turn, or by its entry in the fleet's queue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, RowMapping

from jobsvc.identifiers import EntryId, JobKey
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import ENGINE, UNDER_WAY, State
from jobsvc.jobs.transition import transition
from jobsvc.runs.crashes import MAX_DELAY_SECONDS, PROBATION_SECONDS, SUSPECT_AFTER, claimed, somebody_on_probation
from jobsvc.runs.sharing.user_slots import UserSlots
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.queries.sharing import turn_rows
from jobsvc.store.queries.sharing.of_others import first_of_others


class Claims(ABC):
    """Claims jobs, each as a new attempt, which fences off the one before.

    `claim` is for one thread alone, `claim_entry` for any.
    """

    reserve: ClassVar[bool]
    """Whether beginning may take from what a full disk has in reserve."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._doubtful: Job | None = None
        """What was being claimed when the database went away."""
        self._due_in: float | None = None

    @abstractmethod
    def first(self, connection: Connection, due: Due) -> RowMapping | None:
        """The row, locked, of the job whose turn it is among those that are due."""

    @abstractmethod
    def next_due(self, connection: Connection, at: datetime) -> datetime | None:
        """When the first job will be due of those that are not due at that time."""

    @abstractmethod
    def begin(self, connection: Connection, job: Job) -> Job:
        """Begin a new attempt of the job, and return it as it is then."""

    @abstractmethod
    def is_wanted(self, job: Job) -> bool:
        """Whether the job can be claimed."""

    @abstractmethod
    def is_begun(self, job: Job) -> bool:
        """Whether the latest attempt of the job is one that `begin` began."""

    def waits_for_user(self, connection: Connection, job: Job) -> bool:
        """Whether the job may not begin since its user has too many that run; it is held then, and has no entry."""
        return False

    def claim(self) -> Job | None:
        """Take the job whose turn it is; None if none is wanted, or none is due."""
        if (begun := self._claimed_after_all()) is not None:
            return begun
        return self._claim()

    @again_on_conflict
    def _claim(self) -> Job | None:
        with self._database.write(urgent=True, reserve=self.reserve) as connection:
            job = self._next(connection)
            if job is None:
                return None
            self._doubtful = begun = self.begin(connection, job)
        self._doubtful = None
        return begun

    def due_in(self) -> float | None:
        """Seconds from the latest `claim`, if it found nothing, until it may find something; None: when it is told."""
        return self._due_in

    @again_on_conflict
    def claim_entry(self, key: JobKey, entry: EntryId, put_back: Callable[[Connection, Job], None]) -> Job | None:
        """Take the job that an entry of the fleet's queue stands for; None if that is not wanted, or not by this entry.

        One that has to wait for another suspect gets a new entry from `put_back`; one that has to wait for others of
        its user gets one when one of those has left. A
        claim that breaks off may have been committed: then nobody works on the job,
        until it is found without an entry.
        """
        with self._database.write(urgent=True, reserve=self.reserve) as connection:
            job = Job.from_row(job_rows.by_key(connection, key, lock=True))
            if job.queue_entry != entry or not self.is_wanted(job):
                return None
            if self.waits_for_user(connection, job):
                return None
            if self._is_held(connection, job):
                put_back(connection, job)
                return None
            return self.begin(connection, job)

    def _next(self, connection: Connection) -> Job | None:
        now = self._now()
        due = Due(now, now + timedelta(seconds=MAX_DELAY_SECONDS))
        row = self.first(connection, due)
        held = row is not None and self._is_held(connection, Job.from_row(row))
        if held:
            row = self.first(connection, Due(due.now, due.horizon, crashes_below=SUSPECT_AFTER))
        if row is None:
            at = self.next_due(connection, now)
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
        return job if job.attempt == doubtful.attempt and self.is_begun(job) else None


class RunClaims(Claims):
    """Claims queued jobs, to run them."""

    reserve = False

    def __init__(self, database: Database, now: Callable[[], datetime], users: UserSlots) -> None:
        super().__init__(database, now)
        self._users = users

    def first(self, connection: Connection, due: Due) -> RowMapping | None:
        row = job_rows.first_in_state(connection, State.QUEUED, due)
        if row is None:
            return None
        full = self._users.left(connection).full
        return row if row["user"] not in full else first_of_others(connection, State.QUEUED, due, full)

    def waits_for_user(self, connection: Connection, job: Job) -> bool:
        return self._users.hold_at_claim(connection, job)

    def next_due(self, connection: Connection, at: datetime) -> datetime | None:
        return job_rows.next_due(connection, State.QUEUED, None, at)

    def begin(self, connection: Connection, job: Job) -> Job:
        now = self._now()
        values: dict[str, Any] = {"attempt": job.attempt + 1, "started_at": job.started_at or now, "rate": None}
        values |= claimed(job, now)
        begun = transition(connection, job, State.RUNNING, who=ENGINE, at=now, **values)
        assert begun is not None, "its row is locked"
        turn_rows.reach(connection, job.priority, job.turn)
        return begun

    def is_wanted(self, job: Job) -> bool:
        return job.state is State.QUEUED

    def is_begun(self, job: Job) -> bool:
        # With a rollback wanted or begun since, the attempt is not a run's any more, or never was.
        return job.state in UNDER_WAY and job.rollback is None
