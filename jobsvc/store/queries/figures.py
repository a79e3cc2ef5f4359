"""Queries over all jobs, for figures that somebody asks for again and again: each is answered from an index."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, func, select

from jobsvc.store.tables import job_events, jobs, webhooks


def by_kind_and_state(connection: Connection) -> Sequence[RowMapping]:
    """For each kind and state, how many `jobs` there are, and the items that they and forgotten ones had:

    `done`, `failed`, `blank`, `taken_back`.
    """
    # Grouped in the order of the index jobs_figures, which has all of these columns.
    counters = [
        func.coalesce(func.sum(column), 0).label(column.name)
        for column in (jobs.c.done, jobs.c.failed, jobs.c.blank, jobs.c.taken_back)
    ]
    there = (func.count() - func.count(jobs.c.deleted_at)).label("jobs")
    query = select(jobs.c.kind, jobs.c.state, there, *counters).group_by(jobs.c.kind, jobs.c.state)
    return connection.execute(query).mappings().all()


def oldest_queued(connection: Connection, state: str) -> datetime | None:
    """When the job was queued that has waited longest in `state`."""
    found: datetime | None = connection.execute(
        select(func.min(jobs.c.queued_at)).where(jobs.c.state == state)
    ).scalar_one()
    return found


def longest_in(connection: Connection, state: str) -> datetime | None:
    """Since when the job that has been in `state` for longest is there."""
    since = (
        select(job_events.c.at)
        .where(job_events.c.job_key == jobs.c.key)
        .order_by(job_events.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    found: datetime | None = connection.execute(select(func.min(since)).where(jobs.c.state == state)).scalar_one()
    return found


def webhooks_waiting(connection: Connection) -> int:
    query = select(func.count()).select_from(webhooks).where(webhooks.c.next_at.is_not(None))
    return connection.execute(query).scalar_one()
