"""Queries on slots: which jobs have one, which wait for one, and how many there are.

A slot is free again when the run of its job has left it: soon, of one that is to stop.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select, update

from jobsvc.identifiers import JobKey, Purpose
from jobsvc.store.postgresql.queue_tables import entries, live_workers, status
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.tables import jobs, workers

_SLOT = (jobs.c.key, jobs.c.kind, jobs.c.state, jobs.c.attempt, jobs.c.priority, jobs.c.turn, jobs.c.gives_way)
_LEAVES_SOON = or_(
    jobs.c.gives_way, jobs.c.state == "pausing", and_(jobs.c.state == "terminating", jobs.c.rollback.is_(None))
)
_HAS_RUN = or_(jobs.c.state == "running", _LEAVES_SOON)


def is_somebody_before(connection: Connection, priority: int, due: Due) -> bool:
    """Whether a job of a higher priority than this is queued, and due."""
    query = select(jobs.c.key).where(jobs.c.state == "queued", jobs.c.priority < priority, *due.clauses())
    return connection.execute(query.limit(1)).first() is not None


def waiting(connection: Connection, priority: int, due: Due, limit: int, but: Collection[str]) -> Sequence[RowMapping]:
    """The first jobs in the queue that are due, and have a higher priority than this: kind, priority and user.

    Those of the users in `but` are left out.
    """
    return connection.execute(_waiting(priority, due, but).limit(limit)).mappings().all()


def waiting_in_fleet(
    connection: Connection, priority: int, due: Due, limit: int, but: Collection[str]
) -> Sequence[RowMapping]:
    """The same in a fleet: those that no worker has taken yet."""
    query = _waiting(priority, due, but).join(entries, and_(entries.c.id == jobs.c.queue_entry, status == "todo"))
    return connection.execute(query.limit(limit)).mappings().all()


def _waiting(priority: int, due: Due, but: Collection[str]) -> Select[tuple[str, int, str]]:
    query = select(jobs.c.kind, jobs.c.priority, jobs.c.user).select_from(jobs)
    query = query.where(jobs.c.state == "queued", jobs.c.priority < priority, *due.clauses())
    query = query.where(jobs.c.user.not_in(but)) if but else query
    return query.order_by(jobs.c.priority, jobs.c.turn, jobs.c.key)


def taken(connection: Connection) -> Sequence[RowMapping]:
    """The jobs that have a run, with the engine `threads`: those columns of each that a choice among them needs, and
    whether it leaves its slot soon."""
    return connection.execute(_taken()).mappings().all()


def taken_in_fleet(connection: Connection) -> Sequence[RowMapping]:
    """The same in a fleet: each with its `worker`."""
    query = _taken().add_columns(entries.c.worker_id.label("worker"))
    query = query.join(entries, and_(entries.c.id == jobs.c.queue_entry, status == "doing"))
    return connection.execute(query).mappings().all()


def _taken() -> Select[tuple[object, ...]]:
    states = jobs.c.state.in_(("running", "pausing", "terminating"))
    return select(*_SLOT, _LEAVES_SOON.label("leaves_soon")).select_from(jobs).where(states, _HAS_RUN)


def in_fleet(connection: Connection, ago: timedelta) -> Sequence[RowMapping]:
    """Of the workers that had a heartbeat within that time: id, queues, and how many slots are free."""
    at_work = select(func.count()).where(entries.c.worker_id == workers.c.id, status == "doing").scalar_subquery()
    query = select(workers.c.id, workers.c.queues, (workers.c.concurrency - at_work).label("free"))
    query = query.join(live_workers, live_workers.c.id == workers.c.id)
    alive = live_workers.c.last_heartbeat >= func.now() - ago
    return connection.execute(query.where(workers.c.purpose == Purpose.RUNS, alive)).mappings().all()


def have_give_way(connection: Connection, key: JobKey, attempt: int) -> bool:
    """Write down that a job's run is to leave its slot; returns whether it still runs."""
    wanted = (jobs.c.key == key, jobs.c.attempt == attempt, jobs.c.state == "running")
    return connection.execute(update(jobs).where(*wanted).values(gives_way=True)).rowcount == 1
