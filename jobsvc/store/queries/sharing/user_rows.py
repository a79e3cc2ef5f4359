"""Queries on what each user has: jobs queued, jobs running, bytes stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, func, select, tuple_, update

from jobsvc.identifiers import JobKey, Purpose
from jobsvc.store.queries.job_rows import JOB
from jobsvc.store.tables import jobs, workers


def count_queued(connection: Connection, user: str) -> int:
    query = select(func.count()).select_from(jobs).where(jobs.c.state == "queued", jobs.c.user == user)
    return connection.execute(query).scalar_one()


def stored_bytes(connection: Connection, user: str) -> int:
    """How many bytes the files of a user's jobs have in the store."""
    total = func.coalesce(func.sum(jobs.c.upload_bytes + jobs.c.result_bytes), 0)
    query = select(total).where(jobs.c.user == user, jobs.c.files_removed_at.is_(None))
    return int(connection.execute(query).scalar_one())


_RUNNING = (jobs.c.state.in_(("running", "pausing", "terminating")), jobs.c.rollback.is_(None))
"""Of the jobs that have a run; one that is to be rolled back counts no more."""

_HELD = (jobs.c.state == "queued", jobs.c.held)


def count_running(connection: Connection, user: str) -> int:
    query = select(func.count()).select_from(jobs).where(*_RUNNING, jobs.c.user == user)
    return connection.execute(query).scalar_one()


def running(connection: Connection) -> dict[str, int]:
    """How many jobs each user has running, of those who have some."""
    query = select(jobs.c.user, func.count()).where(*_RUNNING).group_by(jobs.c.user)
    return {row[0]: row[1] for row in connection.execute(query)}


def hold(connection: Connection, key: JobKey) -> None:
    """Note that a queued job waits without an entry in the fleet's queue."""
    connection.execute(update(jobs).where(jobs.c.key == key).values(held=True))


def let_go(connection: Connection, keys: Collection[JobKey]) -> None:
    """Note that these jobs are held no more."""
    connection.execute(update(jobs).where(jobs.c.key.in_(keys)).values(held=False))


def first_held(connection: Connection, user: str, limit: int, kinds: Collection[str] | None) -> Sequence[RowMapping]:
    """The first of a user's held jobs, of these kinds, locked. Leaves out what another transaction is changing."""
    query = select(*JOB).where(*_HELD, jobs.c.user == user).order_by(jobs.c.priority, jobs.c.turn, jobs.c.key)
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    return connection.execute(query.limit(limit).with_for_update(key_share=True, skip_locked=True)).mappings().all()


class PlaceInQueue(NamedTuple):
    priority: int
    turn: int
    key: JobKey


def is_one_held_before(connection: Connection, user: str, place: PlaceInQueue, kinds: Collection[str] | None) -> bool:
    """Whether a held job of the user, of these kinds, goes before one at that place."""
    before = tuple_(jobs.c.priority, jobs.c.turn, jobs.c.key) < place
    query = select(jobs.c.key).where(*_HELD, jobs.c.user == user, before)
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    return connection.execute(query.limit(1)).first() is not None


def count_in_queue(connection: Connection, user: str, kinds: Collection[str] | None, crashes_below: int) -> int:
    """How many of a user's queued jobs, of these kinds and with fewer crashes, are not held."""
    query = select(func.count()).select_from(jobs).where(jobs.c.state == "queued", jobs.c.user == user, ~jobs.c.held)
    query = query.where(jobs.c.crashes < crashes_below)
    if kinds is not None:
        query = query.where(jobs.c.kind.in_(kinds))
    return connection.execute(query).scalar_one()


def kinds_taken(connection: Connection) -> set[str] | None:
    """The kinds of job that the workers of the fleet take; None: none is there that would say so."""
    found = connection.execute(select(workers.c.queues).where(workers.c.purpose == Purpose.RUNS)).scalars().all()
    return {kind for kinds in found for kind in kinds} if found else None


def who_has_held(connection: Connection) -> list[str]:
    """The users of whose jobs some are held."""
    return list(connection.execute(select(jobs.c.user).where(*_HELD).distinct()).scalars())
