"""Taking a job to work on it: by its turn, or by its entry in the fleet's queue."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, RowMapping

from jobsvc.jobs.job import Job
from jobsvc.store import job_rows
from jobsvc.store.database import Database


class Claims:
    """Claims jobs, each as a new attempt, which fences off the one before.

    `first` finds the row of the one whose turn it is, `begin` makes it begun and
    returns it. A job can be claimed while it is `wanted`, and is `begun` then.
    `claim` is for one thread alone, `claim_entry` for any.
    """

    def __init__(
        self,
        database: Database,
        *,
        first: Callable[[Connection], RowMapping | None],
        begin: Callable[[Connection, Job], Job],
        wanted: Callable[[Job], bool],
        begun: Callable[[Job], bool],
    ) -> None:
        self._database = database
        self._first, self._begin = first, begin
        self._wanted, self._begun = wanted, begun
        self._doubtful: Job | None = None
        """What was being claimed when the database went away."""

    def claim(self) -> Job | None:
        """Take the job whose turn it is; None if none is wanted."""
        if (claimed := self._claimed_after_all()) is not None:
            return claimed
        with self._database.write(urgent=True) as connection:
            row = self._first(connection)
            if row is None:
                return None
            self._doubtful = claimed = self._begin(connection, Job.from_row(row))
        self._doubtful = None
        return claimed

    def claim_entry(self, key: int, entry: int) -> Job | None:
        """Take the job that an entry of the fleet's queue stands for; None if that is not wanted, or not by this entry.

        A claim that breaks off may have been committed: then nobody works on the job, until it is found without an
        entry.
        """
        with self._database.write(urgent=True) as connection:
            job = Job.from_row(job_rows.by_key(connection, key, lock=True))
            if job.queue_entry != entry or not self._wanted(job):
                return None
            return self._begin(connection, job)

    def _claimed_after_all(self) -> Job | None:
        """The job whose claim broke off, if it was committed nevertheless: nobody else will work on it."""
        doubtful = self._doubtful
        if doubtful is None:
            return None
        with self._database.write(urgent=True) as connection:
            job = Job.from_row(job_rows.by_key(connection, doubtful.key, lock=True))
        self._doubtful = None
        return job if job.attempt == doubtful.attempt and self._begun(job) else None
