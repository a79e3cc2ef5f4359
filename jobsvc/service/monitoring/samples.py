"""How fast jobs were over their lives."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job
from jobsvc.jobs.samples import Point, Series
from jobsvc.jobs.states import FINISHED
from jobsvc.store.database import Database
from jobsvc.store.queries.sampling import sample_rows

IN_SPARKLINE = 20
"""So many rates of a job are shown in a list."""


class Samples:
    """Reads what is committed; safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, job: Job) -> Series:
        """The points of a job. Of one that has failed in between two of them, the end too."""
        with self._database.look() as connection:
            row = sample_rows.of_job(connection, job.key)
        series = Series() if row is None else Series.read(row["points"], row["every"])
        return _ended(series, job)

    def sparklines(self, keys: Collection[JobKey]) -> Mapping[JobKey, list[float]]:
        """The latest rates of each job, oldest first, in items per second; a job that has none yet is left out.

        One query, however many jobs these are.
        """
        if not keys:
            return {}
        with self._database.look() as connection:
            rows = sample_rows.of_jobs(connection, keys)
        found = {}
        for key, row in rows.items():
            rates = [rate for rate in Series.read(row["points"], row["every"]).rates() if rate is not None]
            if rates:
                found[key] = rates[-IN_SPARKLINE:]
        return found


def _ended(series: Series, job: Job) -> Series:
    """With a point for where the job ended, if its run could leave none. A rollback is no part of its progress."""
    if not series.points or job.state not in FINISHED or job.finished_at is None or job.rollback_total is not None:
        return series
    latest = series.points[-1]
    at = max(latest.at, round(job.finished_at.timestamp() * 1000))
    end = Point(at, job.done, job.failed, latest.ran)
    return series if end.items == latest.items else Series((*series.points, end), series.every)
