"""Queries on `job_events`: the history of jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Integer, RowMapping, bindparam, insert, literal, select

from jobsvc.identifiers import JobKey
from jobsvc.logs.about import request_id
from jobsvc.store.tables import job_events, jobs

# Built once: every transition, and the end of every run, executes them.
_INSERT = insert(job_events)
_LATEST = (
    select(job_events)
    .where(job_events.c.job_key == bindparam("wanted_key"))
    .order_by(job_events.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)


def add(
    connection: Connection, key: JobKey, *, at: datetime, before: str | None, after: str, who: str, why: str
) -> None:
    """Note a change of a job's state, and the request for which the caller's thread works."""
    event = {"job_key": key, "at": at, "from": before, "to": after, "who": who, "why": why, "request_id": request_id()}
    connection.execute(_INSERT, event)


def add_to_all(
    connection: Connection, keys: Collection[JobKey], *, at: datetime, before: str, after: str, who: str, why: str
) -> None:
    """Note the same change of many jobs, oldest first."""
    columns = [job_events.c[name] for name in ("job_key", "at", "from", "to", "who", "why", "request_id")]
    values = (at, before, after, who, why, request_id())
    same = [literal(value, column.type) for value, column in zip(values, columns[1:], strict=True)]
    query = select(jobs.c.key, *same).where(jobs.c.key.in_(keys)).order_by(jobs.c.key)
    connection.execute(insert(job_events).from_select(columns, query))


def of_job(connection: Connection, key: JobKey, after: int, limit: int) -> Sequence[RowMapping]:
    """A job's history after the event `after`, oldest first."""
    query = select(job_events).where(job_events.c.job_key == key, job_events.c.id > after).order_by(job_events.c.id)
    return connection.execute(query.limit(limit)).mappings().all()


def latest(connection: Connection, key: JobKey, limit: int) -> Sequence[RowMapping]:
    """The latest lines of a job's history, the latest first."""
    return connection.execute(_LATEST, {"wanted_key": key, "most": limit}).mappings().all()


def last(connection: Connection, key: JobKey) -> RowMapping | None:
    """The latest line of a job's history; None if it was removed with the job."""
    found = latest(connection, key, 1)
    return found[0] if found else None
