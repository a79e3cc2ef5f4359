"""Queries on `job_samples`: points of a job's progress, all of a job in one row."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import job_samples

# Built once: checkpoints execute them.
_OF_JOB = select(job_samples).where(job_samples.c.job_key == bindparam("wanted_key"))
_CHANGE = update(job_samples).where(job_samples.c.job_key == bindparam("wanted_key"))
_INSERT = insert(job_samples)


def of_job(connection: Connection, key: JobKey) -> RowMapping | None:
    """`points` and `every`, if the job has some."""
    return connection.execute(_OF_JOB, {"wanted_key": key}).mappings().one_or_none()


def of_jobs(connection: Connection, keys: Collection[JobKey]) -> dict[JobKey, RowMapping]:
    """The same of several jobs, by their keys; one that has none is left out."""
    query = select(job_samples).where(job_samples.c.job_key.in_(keys))
    return {row["job_key"]: row for row in connection.execute(query).mappings()}


def put(connection: Connection, key: JobKey, points: str, every: float) -> None:
    """The transaction holds the job's row: no other writes its points."""
    values = {"points": points, "every": every}
    if not connection.execute(_CHANGE, {"wanted_key": key, **values}).rowcount:
        connection.execute(_INSERT, {"job_key": key, **values})
