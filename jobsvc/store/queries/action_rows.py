"""Queries on `actions` and `action_jobs`: what was asked of many jobs at once, and what is left to do of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from jobsvc.identifiers import ActionKey, JobKey
from jobsvc.store.queries.job_rows import JOB, of_owner
from jobsvc.store.queries.listing.searched import contains
from jobsvc.store.tables import action_jobs, actions, jobs

_STANDING = (jobs.c.id, jobs.c.key, jobs.c.state, jobs.c.attempt)


@dataclass(frozen=True)
class Which:
    """The jobs that a filter finds, of those that were not forgotten; None: whatever it is."""

    up_to: JobKey
    """Jobs that came later are none of them."""
    states: Sequence[str] = ()
    """None of them: any."""
    kind: str | None = None
    user: str | None = None
    text: str | None = None
    stopped_by: ActionKey | None = None
    not_rolled_back: bool = False
    """Only those whose rollback nobody has asked for."""
    owner: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        pairs = (
            (jobs.c.kind, self.kind),
            (jobs.c.user, self.user),
            (jobs.c.stopped_by, self.stopped_by),
        )
        named = [column == wanted for column, wanted in pairs if wanted is not None]
        if self.states:
            named.append(jobs.c.state.in_(self.states))
        if self.text is not None:
            named.append(contains(self.text))
        if self.not_rolled_back:
            named += [jobs.c.rolled_back.is_(False), jobs.c.rollback.is_(None)]
        return [jobs.c.key <= self.up_to, jobs.c.deleted_at.is_(None), *named, *of_owner(self.owner)]


def youngest_job(connection: Connection) -> JobKey:
    """The key of the job that came last; 0 if there is none."""
    return JobKey(connection.execute(select(func.coalesce(func.max(jobs.c.key), 0))).scalar_one())


def count_by_state(connection: Connection, which: Which) -> dict[str, int]:
    # In the order of an index on the state, the rows that a text is looked for in are all over the table.
    state = jobs.c.state if which.text is None else func.coalesce(jobs.c.state, "")
    query = select(state, func.count()).where(*which.clauses()).group_by(state).order_by(state)
    return {row[0]: row[1] for row in connection.execute(query)}


def first_ids(connection: Connection, which: Which, states: Collection[str], limit: int) -> list[str]:
    """The ids of the oldest jobs that the filter finds in these states."""
    query = select(jobs.c.id).where(*which.clauses(), jobs.c.state.in_(states)).order_by(jobs.c.key).limit(limit)
    return list(connection.execute(query).scalars())


def add(connection: Connection, values: Mapping[str, Any]) -> ActionKey:
    """Insert an action; returns its key."""
    key = connection.execute(insert(actions).values(**values)).inserted_primary_key
    assert key is not None
    return ActionKey(key[0])


def by_id(connection: Connection, action_id: str) -> RowMapping | None:
    return connection.execute(select(actions).where(actions.c.id == action_id)).mappings().one_or_none()


def by_key(connection: Connection, key: ActionKey) -> RowMapping:
    return connection.execute(select(actions).where(actions.c.key == key)).mappings().one()


def by_idempotency_key(connection: Connection, user: str, key: str) -> RowMapping | None:
    query = select(actions).where(actions.c.user == user, actions.c.idempotency_key == key)
    return connection.execute(query).mappings().one_or_none()


def page(connection: Connection, *, limit: int, after: int | None, owner: str | None = None) -> Sequence[RowMapping]:
    """Actions, newest first, below the key `after`; with an `owner`, those that found only this user's jobs."""
    query = select(actions).order_by(actions.c.key.desc()).limit(limit)
    if owner is not None:
        query = query.where(actions.c.owner == owner)
    return connection.execute(query if after is None else query.where(actions.c.key < after)).mappings().all()


def first_open(connection: Connection) -> RowMapping | None:
    """The action that was asked first of those that have not finished."""
    query = select(actions).where(actions.c.finished_at.is_(None)).order_by(actions.c.key).limit(1)
    return connection.execute(query).mappings().one_or_none()


def count_open(connection: Connection) -> int:
    query = select(func.count()).select_from(actions).where(actions.c.finished_at.is_(None))
    return connection.execute(query).scalar_one()


def take(connection: Connection, key: ActionKey) -> RowMapping | None:
    """An action that has not finished, locked; None if there is none, or another transaction has it."""
    query = select(actions).where(actions.c.key == key, actions.c.finished_at.is_(None))
    return connection.execute(query.with_for_update(key_share=True, skip_locked=True)).mappings().one_or_none()


def change(connection: Connection, key: ActionKey, values: Mapping[str, Any]) -> None:
    connection.execute(update(actions).where(actions.c.key == key).values(**values))


def list_jobs(
    connection: Connection, key: ActionKey, which: Which, states: Collection[str], last: Collection[str] | None
) -> int:
    """List the jobs that the filter finds in these states as what is left to do; returns how many.

    In the order in which they were queued; or, if it is given, the other way round, those in the states `last` last.
    """
    order: list[ColumnElement[Any]] = [jobs.c.queued_at, jobs.c.key]
    if last is not None:
        order = [jobs.c.state.in_(last), jobs.c.queued_at.desc(), jobs.c.key.desc()]
    place = func.row_number().over(order_by=order)
    query = select(literal(key), place, jobs.c.key, false()).where(*which.clauses(), jobs.c.state.in_(states))
    connection.execute(insert(action_jobs).from_select(list(action_jobs.c), query))
    # What the driver of PostgreSQL says of it is no number.
    listed = select(func.count()).where(action_jobs.c.action_key == key)
    return connection.execute(listed).scalar_one()


def left(connection: Connection, key: ActionKey, limit: int) -> Sequence[RowMapping]:
    """What is to be done next: `place` and `aside`, and of its job `id`, `key`, `state` and `attempt`.

    What was put aside comes last.
    """
    query = (
        select(action_jobs.c.place, action_jobs.c.aside, *_STANDING)
        .join(jobs, jobs.c.key == action_jobs.c.job_key)
        .where(action_jobs.c.action_key == key)
        .order_by(action_jobs.c.place)
        .limit(limit)
    )
    for aside in (false(), true()):
        found = connection.execute(query.where(action_jobs.c.aside == aside)).mappings().all()
        if found:
            return found
    return ()


def still_left(connection: Connection, key: ActionKey, places: Collection[int]) -> set[int]:
    """Those of the places that nobody has done meanwhile."""
    query = select(action_jobs.c.place).where(action_jobs.c.action_key == key, action_jobs.c.place.in_(places))
    return set(connection.execute(query).scalars())


def jobs_of(connection: Connection, keys: Collection[JobKey], *, wait: bool) -> Sequence[RowMapping]:
    """Jobs, forgotten ones too, locked; unless it is to `wait`, without those that other transactions have."""
    query = select(*JOB).where(jobs.c.key.in_(keys)).order_by(jobs.c.key)
    return connection.execute(query.with_for_update(key_share=True, skip_locked=not wait)).mappings().all()


def note_done(connection: Connection, key: ActionKey, places: Collection[int]) -> None:
    connection.execute(delete(action_jobs).where(action_jobs.c.action_key == key, action_jobs.c.place.in_(places)))


def put_aside(connection: Connection, key: ActionKey, places: Collection[int]) -> None:
    mine = (action_jobs.c.action_key == key, action_jobs.c.place.in_(places))
    connection.execute(update(action_jobs).where(*mine).values(aside=True))


def count_stopping(
    connection: Connection, keys: Collection[ActionKey], states: Collection[str]
) -> dict[ActionKey, int]:
    """How many jobs each of these actions has stopped that are in `states`; an action that has none is left out."""
    query = (
        select(jobs.c.stopped_by, func.count())
        .where(jobs.c.state.in_(states), jobs.c.stopped_by.in_(keys))
        .group_by(jobs.c.stopped_by)
    )
    return {ActionKey(key): count for key, count in connection.execute(query)}


def remove_finished_before(connection: Connection, at: datetime, states: Collection[str], limit: int) -> int:
    """Remove up to `limit` actions that finished before `at` and have stopped no job that is in `states` still.

    Returns how many.
    """
    needed = exists().where(jobs.c.state.in_(states), jobs.c.stopped_by == actions.c.key)
    some = select(actions.c.key).where(actions.c.finished_at < at, ~needed).order_by(actions.c.finished_at).limit(limit)
    return connection.execute(delete(actions).where(actions.c.key.in_(some))).rowcount
