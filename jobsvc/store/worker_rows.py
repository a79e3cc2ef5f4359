"""Queries on `workers`: what the processes of the fleet have at work, as long as Procrastinate knows them.

A process is known by its `session`, and seen through its worker for runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, func, insert, select

from jobsvc.store.queue_tables import activity, entries, live_workers, status
from jobsvc.store.tables import jobs, workers

RUNS = "runs"
"""The purpose of the worker that has a process's slots."""


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    """A worker has begun: id, purpose, name, host, pid, queues, concurrency, started_at, session."""
    connection.execute(insert(workers).values(**values))


def server_started_within(connection: Connection, ago: timedelta) -> bool:
    return connection.execute(select(func.pg_postmaster_start_time() >= func.now() - ago)).scalar_one()


def end_sessions_of_lost(connection: Connection, ago: timedelta) -> int:
    """End the connections of workers that had no heartbeat within that time; returns how many there were.

    A process that is frozen within a transaction would hold its locks for as long as it is.
    """
    alive = exists().where(live_workers.c.id == workers.c.id, live_workers.c.last_heartbeat >= func.now() - ago)
    sessions = select(workers.c.session).where(alive)
    lost = select(workers.c.session).where(~alive, workers.c.session.not_in(sessions))
    query = select(func.pg_terminate_backend(activity.c.pid)).where(activity.c.application_name.in_(lost))
    return len(connection.execute(query).all())


def forget_gone(connection: Connection) -> None:
    """Remove those that Procrastinate knows no more."""
    connection.execute(delete(workers).where(~exists().where(live_workers.c.id == workers.c.id)))


def present(connection: Connection) -> Sequence[RowMapping]:
    """The processes, longest first, each with its last_heartbeat."""
    query = select(workers, live_workers.c.last_heartbeat).join(live_workers, live_workers.c.id == workers.c.id)
    query = query.where(workers.c.purpose == RUNS).order_by(workers.c.started_at, workers.c.id)
    return connection.execute(query).mappings().all()


def clock(connection: Connection) -> datetime:
    """The time of the database's machine, which heartbeats are told in."""
    return connection.execute(select(func.now())).scalar_one()


def count_since(connection: Connection, ago: timedelta) -> int:
    """How many processes had a heartbeat within that time."""
    query = select(func.count()).select_from(workers.join(live_workers, live_workers.c.id == workers.c.id))
    query = query.where(workers.c.purpose == RUNS, live_workers.c.last_heartbeat >= func.now() - ago)
    return connection.execute(query).scalar_one()


def under_way(connection: Connection) -> Sequence[RowMapping]:
    """What the processes run: session, and of each job id, kind, state and attempt; oldest first."""
    query = (
        select(workers.c.session, jobs.c.id, jobs.c.kind, jobs.c.state, jobs.c.attempt)
        .join(jobs, jobs.c.queue_entry == entries.c.id)
        .join(workers, workers.c.id == entries.c.worker_id)
        .where(status == "doing")
        .order_by(jobs.c.key)
    )
    return connection.execute(query).mappings().all()
