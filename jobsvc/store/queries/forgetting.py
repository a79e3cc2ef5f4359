"""Queries that forget jobs, and rows that only they needed. Each changes a bounded number of rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import (
    dry_run_teams,
    idempotency_keys,
    job_events,
    job_log,
    job_samples,
    jobs,
    refusal_counts,
    refused_rows,
    webhooks,
)

# The tables with very many rows of a job, and the column that tells these apart.
_MANY = (
    (refused_rows, "item"),
    (refusal_counts, "place"),
    (dry_run_teams, "name"),
    (job_log, "line"),
    (job_events, "id"),
)

_AT_REST = and_(jobs.c.deleted_at.is_(None), jobs.c.rollback.is_(None))


def finished_before(connection: Connection, at: datetime, states: Collection[str], limit: int) -> Sequence[RowMapping]:
    """`key`, `id` and `applied_from` of jobs in `states` that finished before `at`, the longest finished first; locked.

    Those that another transaction is changing are left out.
    """
    query = (
        select(jobs.c.key, jobs.c.id, jobs.c.applied_from)
        .where(_AT_REST, jobs.c.finished_at < at, jobs.c.state.in_(states))
        .order_by(jobs.c.finished_at, jobs.c.key)
        .limit(limit)
        .with_for_update(key_share=True, skip_locked=True)
    )
    return connection.execute(query).mappings().all()


def count_finished_before(connection: Connection, at: datetime, states: Collection[str]) -> int:
    query = select(func.count()).where(_AT_REST, jobs.c.finished_at < at, jobs.c.state.in_(states))
    return connection.execute(query).scalar_one()


def mark_forgotten(connection: Connection, keys: Collection[JobKey], values: Mapping[str, Any]) -> None:
    """Turn jobs into tombstones with `values`, and remove at once what must not outlast them:

    idempotency keys, which would return them, and webhooks, which would still be sent; also samples, one row each.
    `remove_rows` removes the rows of which there may be very many.
    """
    connection.execute(delete(idempotency_keys).where(idempotency_keys.c.job_key.in_(keys)))
    connection.execute(delete(webhooks).where(webhooks.c.job_key.in_(keys)))
    connection.execute(delete(job_samples).where(job_samples.c.job_key.in_(keys)))
    connection.execute(update(jobs).where(jobs.c.key.in_(keys)).values(**values))


def buried_with_rows(connection: Connection, after: int, limit: int) -> list[JobKey]:
    """The keys above `after` of tombstones that still have rows for `remove_rows`."""
    left = or_(*(exists().where(table.c.job_key == jobs.c.key) for table, _ in _MANY))
    query = (
        select(jobs.c.key).where(jobs.c.key > after, jobs.c.deleted_at.is_not(None), left).order_by(jobs.c.key)
    ).limit(limit)
    return list(connection.execute(query).scalars())


def remove_rows(connection: Connection, key: JobKey, limit: int) -> int:
    """Remove up to `limit` of the rows that only a job itself needed; returns how many, 0 if none is left."""
    removed = 0
    for table, column in _MANY:
        if removed < limit:
            removed += _remove_some(connection, table, table.c[column], table.c.job_key == key, limit - removed)
    return removed


def _remove_some(
    connection: Connection, table: Table, column: ColumnElement[Any], which: ColumnElement[bool], limit: int
) -> int:
    some = select(column).where(which).order_by(column).limit(limit)
    return connection.execute(delete(table).where(which, column.in_(some))).rowcount


def release_inputs(connection: Connection, owners: Collection[str]) -> list[str]:
    """Those of the jobs with these ids whose input no job needs any more, themselves or one that was made of it.

    To be called in the transaction that notes the removal of files, after that. Inputs that are still needed count
    from then on for one of the jobs that need them. Of two transactions that release the last two jobs of an input at
    the same time, each may take the other's job to need it: the next look for strays removes it then.
    """
    free = []
    for owner in owners:
        needs = and_(or_(jobs.c.id == owner, jobs.c.applied_from == owner), jobs.c.files_removed_at.is_(None))
        heirs = connection.execute(select(jobs.c.key, jobs.c.id).where(needs).order_by(jobs.c.key).limit(1)).all()
        if not heirs:
            free.append(owner)
        elif heirs[0].id != owner:
            size = select(jobs.c.upload_bytes).where(jobs.c.id == owner).scalar_subquery()
            connection.execute(update(jobs).where(jobs.c.key == heirs[0].key).values(upload_bytes=size))
    return free


def may_have_files(
    connection: Connection,
    after: tuple[datetime, int] | None,
    *,
    since: datetime | None,
    before: datetime,
    states: Collection[str],
    limit: int,
) -> Sequence[RowMapping]:
    """`key`, `id`, `applied_from`, `finished_at` of jobs that finished in that time and still have their files.

    The oldest come first.
    """
    query = (
        select(jobs.c.key, jobs.c.id, jobs.c.applied_from, jobs.c.finished_at)
        .where(_AT_REST, jobs.c.files_removed_at.is_(None), jobs.c.state.in_(states), jobs.c.finished_at < before)
        .order_by(jobs.c.finished_at, jobs.c.key)
        .limit(limit)
    )
    if since is not None:
        query = query.where(jobs.c.finished_at >= since)
    if after is not None:
        query = query.where(tuple_(jobs.c.finished_at, jobs.c.key) > after)
    return connection.execute(query).mappings().all()


def note_files_removed(
    connection: Connection, keys: Collection[JobKey], *, at: datetime, before: datetime, states: Collection[str]
) -> Sequence[RowMapping]:
    """Note it for those of the jobs that are still finished since before `before`; `id`, `applied_from` of these."""
    still = and_(_AT_REST, jobs.c.key.in_(keys), jobs.c.state.in_(states), jobs.c.finished_at < before)
    noted = update(jobs).where(still).values(files_removed_at=at).returning(jobs.c.id, jobs.c.applied_from)
    return connection.execute(noted).mappings().all()


def count_keys_before(connection: Connection, at: datetime) -> int:
    query = select(func.count()).where(idempotency_keys.c.created_at < at)
    return connection.execute(query).scalar_one()


def remove_keys_before(connection: Connection, at: datetime, limit: int) -> int:
    """Remove up to `limit` idempotency keys that were first used before `at`; returns how many."""
    place = tuple_(idempotency_keys.c.user, idempotency_keys.c.key)
    some = (
        select(idempotency_keys.c.user, idempotency_keys.c.key)
        .where(idempotency_keys.c.created_at < at)
        .order_by(idempotency_keys.c.created_at)
        .limit(limit)
    )
    return connection.execute(delete(idempotency_keys).where(place.in_(some))).rowcount
