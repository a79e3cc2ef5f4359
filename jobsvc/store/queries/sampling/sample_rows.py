"""Queries on `job_samples`: points of a job's progress, all of a job in one row."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, insert, select, update

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import job_samples


def of_job(connection: Connection, key: JobKey) -> RowMapping | None:
    """`points` and `every`, if the job has some."""
    query = select(job_samples).where(job_samples.c.job_key == key)
    return connection.execute(query).mappings().one_or_none()


def of_jobs(connection: Connection, keys: Collection[JobKey]) -> dict[JobKey, RowMapping]:
    """The same of several jobs, by their keys; one that has none is left out."""
    query = select(job_samples).where(job_samples.c.job_key.in_(keys))
    return {row["job_key"]: row for row in connection.execute(query).mappings()}


def put(connection: Connection, key: JobKey, points: str, every: float) -> None:
    """The transaction holds the job's row: no other writes its points."""
    values = {"points": points, "every": every}
    changed = connection.execute(update(job_samples).where(job_samples.c.job_key == key).values(**values))
    if not changed.rowcount:
        connection.execute(insert(job_samples).values(job_key=key, **values))
