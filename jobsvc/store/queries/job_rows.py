"""Queries on `jobs`. States are plain strings here; `jobs/` knows their meaning.

A transaction that changes a job depending on what it reads of it reads it with
`lock=True`: on PostgreSQL its row then stays as it was read until the transaction
ends, which on SQLite, with its one writer, goes without saying. The lock is the
one that leaves other rows free to refer to the job (FOR NO KEY UPDATE).

What each request and each run executes is built once: to build a statement of all these
columns takes five times as long as to execute it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    RowMapping,
    Select,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from jobsvc.identifiers import EntryId, JobKey
from jobsvc.store.postgresql.queue_tables import entries, status
from jobsvc.store.queries.listing.searched import searched
from jobsvc.store.tables import jobs

_NOT_READ = ("cursor", "columns", "searched", "upload_bytes", "result_bytes")

JOB = tuple(column for column in jobs.c if column.name not in _NOT_READ)
"""The columns that are read of a job, without those that only its run needs, which may be large: see `place`; and
without those that only a sum needs."""


def _locked(query: Select[Any]) -> Select[Any]:
    return query.with_for_update(key_share=True)


_ID = bindparam("wanted_id", type_=jobs.c.id.type)
_KEY = bindparam("wanted_key", type_=jobs.c.key.type)
_THERE = (jobs.c.id == _ID, jobs.c.deleted_at.is_(None))

_INSERT = insert(jobs)
_BY_ID = select(*JOB).where(*_THERE)
_BY_ID_LOCKED = _locked(_BY_ID)
_BY_KEY = select(*JOB).where(jobs.c.key == _KEY)
_BY_KEY_LOCKED = _locked(_BY_KEY)
_EXISTED = select(jobs.c.key).where(jobs.c.id == _ID)
_STANDING = select(jobs.c.key, jobs.c.state, jobs.c.attempt).where(*_THERE)
_PLACE = select(jobs.c.cursor, jobs.c.columns).where(jobs.c.key == _KEY)
_COUNTS = select(jobs.c.done, jobs.c.failed).where(jobs.c.key == _KEY)
_COUNT_IN_STATE = select(func.count()).select_from(jobs).where(jobs.c.state == bindparam("wanted_state"))
_STATE = select(jobs.c.state, jobs.c.rollback, jobs.c.gives_way).where(
    jobs.c.key == _KEY, jobs.c.attempt == bindparam("wanted_attempt")
)
_STATE_LOCKED = _locked(_STATE)
_IN_STATE = _locked(
    select(*JOB)
    .where(
        jobs.c.state == bindparam("wanted_state"),
        func.coalesce(jobs.c.rollback, "") != bindparam("but_rollback"),
    )
    .order_by(jobs.c.key)
)
_ALL_KEYS_IN_STATE = select(jobs.c.key).where(jobs.c.state == bindparam("wanted_state")).order_by(jobs.c.key)
_KEYS_IN_STATE = _locked(_ALL_KEYS_IN_STATE)
_KEYS_OF_FEW_CRASHES = _locked(_ALL_KEYS_IN_STATE.where(jobs.c.crashes < bindparam("crashes_below")))
_CHANGE = update(jobs).where(
    jobs.c.key == _KEY,
    jobs.c.attempt == bindparam("wanted_attempt"),
    jobs.c.state == bindparam("wanted_state"),
)


def add(connection: Connection, values: Mapping[str, Any]) -> JobKey:
    """Insert a job; returns its key."""
    text = searched(values["id"], values.get("filename"))
    unknown = values.keys() - jobs.c.keys()
    assert not unknown, unknown
    key = connection.execute(_INSERT, {**values, "searched": text}).inserted_primary_key
    assert key is not None
    return JobKey(key[0])


def by_id(connection: Connection, job_id: str, *, lock: bool = False) -> RowMapping | None:
    """A job that was not forgotten."""
    query = _BY_ID_LOCKED if lock else _BY_ID
    return connection.execute(query, {"wanted_id": job_id}).mappings().one_or_none()


def by_ids(connection: Connection, ids: Collection[str]) -> Sequence[RowMapping]:
    """Those of some jobs that were not forgotten."""
    query = select(*JOB).where(jobs.c.id.in_(ids), jobs.c.deleted_at.is_(None))
    return connection.execute(query).mappings().all()


def standing(connection: Connection, job_id: str) -> RowMapping | None:
    """`key`, `state` and `attempt` of a job that was not forgotten."""
    return connection.execute(_STANDING, {"wanted_id": job_id}).mappings().one_or_none()


def existed(connection: Connection, job_id: str, owner: str | None = None) -> bool:
    """Whether there is such a job, or was before it was forgotten; with an `owner`, of this user."""
    query = _EXISTED if owner is None else _EXISTED.where(*of_owner(owner))
    return connection.execute(query, {"wanted_id": job_id}).one_or_none() is not None


def of_owner(owner: str | None) -> list[ColumnElement[bool]]:
    """The clause that leaves the jobs of one user; none for everybody's."""
    return [] if owner is None else [jobs.c.user == owner]


def place(connection: Connection, key: JobKey) -> RowMapping:
    """The `cursor` and the `columns` of a job."""
    return connection.execute(_PLACE, {"wanted_key": key}).mappings().one()


def by_key(connection: Connection, key: JobKey, *, lock: bool = False) -> RowMapping:
    return connection.execute(_BY_KEY_LOCKED if lock else _BY_KEY, {"wanted_key": key}).mappings().one()


def in_state(connection: Connection, state: str, but_rollback: str) -> Sequence[RowMapping]:
    """All jobs in this state, oldest first, but for those whose rollback stands at `but_rollback`; locked."""
    return connection.execute(_IN_STATE, {"wanted_state": state, "but_rollback": but_rollback}).mappings().all()


def keys_in_state(connection: Connection, state: str, crashes_below: int | None = None) -> list[JobKey]:
    """The keys of all jobs in this state, with fewer crashes, oldest first; their rows are locked."""
    query = _KEYS_IN_STATE if crashes_below is None else _KEYS_OF_FEW_CRASHES
    return list(connection.execute(query, {"wanted_state": state, "crashes_below": crashes_below}).scalars())


def ids_by_files(connection: Connection) -> tuple[set[str], set[str]]:
    """The ids of all jobs that may have files, and of those whose files were removed, forgotten ones among them.

    A dry run has its file as long as a job needs it that was made of it.
    """
    kept: set[str] = set()
    removed: set[str] = set()
    for job_id, removed_at, source in connection.execute(
        select(jobs.c.id, jobs.c.files_removed_at, jobs.c.applied_from)
    ):
        if removed_at is not None:
            removed.add(job_id)
        else:
            kept.update((job_id, source or job_id))
    return kept, removed - kept


def count_uploads(connection: Connection, kinds: Collection[str]) -> int:
    """How many jobs have a file that was uploaded and not removed since: those of these kinds.

    So have those of other kinds, which there may be no more, whose file has a name; it has none if
    it came as the body of its request.
    """
    query = select(func.count()).select_from(jobs).where(jobs.c.files_removed_at.is_(None))
    return connection.execute(query.where(or_(jobs.c.kind.in_(kinds), jobs.c.filename.is_not(None)))).scalar_one()


def under_way(connection: Connection, states: Collection[str]) -> Sequence[RowMapping]:
    """The jobs in these states, oldest first."""
    return connection.execute(select(*JOB).where(jobs.c.state.in_(states)).order_by(jobs.c.key)).mappings().all()


def note_entry(connection: Connection, key: JobKey, entry: EntryId) -> None:
    """Note the job's new entry in the fleet's queue: an earlier entry may not run it any more."""
    connection.execute(update(jobs).where(jobs.c.key == key).values(queue_entry=entry))


def without_entry(connection: Connection, states: Collection[str], limit: int) -> Sequence[RowMapping]:
    """Jobs in these states without a live entry in the fleet's queue, oldest first; locked.

    Leaves out jobs that are held. Skips a row that another transaction is changing: the next sweep finds it.
    """
    alive = exists().where(entries.c.id == jobs.c.queue_entry, status.in_(("todo", "doing")))
    query = select(*JOB).where(jobs.c.state.in_(states), ~alive, ~jobs.c.held).order_by(jobs.c.key).limit(limit)
    return connection.execute(query.with_for_update(of=jobs, key_share=True, skip_locked=True)).mappings().all()


def count_in_state(connection: Connection, state: str) -> int:
    return connection.execute(_COUNT_IN_STATE, {"wanted_state": state}).scalar_one()


def count_by_state(connection: Connection, states: Collection[str]) -> dict[str, int]:
    """How many jobs there are in each of these states."""
    query = select(jobs.c.state, func.count()).where(jobs.c.state.in_(states)).group_by(jobs.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def counts(connection: Connection, key: JobKey) -> tuple[int, int]:
    """How many items of a job took effect, and how many were refused."""
    done, failed = connection.execute(_COUNTS, {"wanted_key": key}).one()
    return done, failed


@dataclass(frozen=True)
class Due:
    """Which of the jobs that wait may begin: those whose `not_before` has come, or is beyond `horizon`."""

    now: datetime | BindParameter[datetime]
    horizon: datetime | BindParameter[datetime]
    crashes_below: int | BindParameter[int] | None = None
    """Only those with fewer crashes."""

    def clauses(self, of: FromClause = jobs) -> list[ColumnElement[bool]]:
        when = of.c.not_before
        due = [or_(when.is_(None), when <= self.now, when > self.horizon)]
        return due if self.crashes_below is None else [*due, of.c.crashes < self.crashes_below]


_NOW = bindparam("now", type_=jobs.c.not_before.type)
_HORIZON = bindparam("horizon", type_=jobs.c.not_before.type)


def _first_in_state(due: Due) -> Select[Any]:
    query = select(*JOB).where(jobs.c.state == bindparam("wanted_state"), *due.clauses())
    return _locked(query.order_by(jobs.c.priority, jobs.c.turn, jobs.c.key).limit(1))


_FIRST_IN_STATE = _first_in_state(Due(_NOW, _HORIZON))
_FIRST_OF_FEW_CRASHES = _first_in_state(Due(_NOW, _HORIZON, bindparam("crashes_below", type_=jobs.c.crashes.type)))


def first_in_state(connection: Connection, state: str, due: Due) -> RowMapping | None:
    """The job in `state` whose turn it is, among those of the highest priority; locked.

    Waits for a row that another transaction holds: if it were skipped and then left
    unchanged, the job would have missed its turn.
    """
    query = _FIRST_IN_STATE if due.crashes_below is None else _FIRST_OF_FEW_CRASHES
    return connection.execute(query, {"wanted_state": state, **vars(due)}).mappings().one_or_none()


def first_rollback(
    connection: Connection, state: str, rollback: str, due: Due, but: Collection[JobKey] = ()
) -> RowMapping | None:
    """The oldest job in `state` whose rollback stands at `rollback`, and whose key is not in `but`; locked."""
    wanted = (jobs.c.state == state, jobs.c.rollback == rollback, jobs.c.key.not_in(but))
    query = select(*JOB).where(*wanted, *due.clauses())
    return connection.execute(_locked(query.order_by(jobs.c.key).limit(1))).mappings().one_or_none()


def _next_due(stands: ColumnElement[bool]) -> Select[Any]:
    return select(func.min(jobs.c.not_before)).where(
        jobs.c.state == bindparam("wanted_state"), stands, jobs.c.not_before > _NOW
    )


_NEXT_DUE = _next_due(jobs.c.rollback.is_(None))
_NEXT_ROLLBACK_DUE = _next_due(jobs.c.rollback == bindparam("wanted_rollback"))


def next_due(connection: Connection, state: str, rollback: str | None, now: datetime) -> datetime | None:
    """When the first of the jobs in `state` may begin that must still wait; None if there is none."""
    query = _NEXT_DUE if rollback is None else _NEXT_ROLLBACK_DUE
    values = {"wanted_state": state, "wanted_rollback": rollback, "now": now}
    found: datetime | None = connection.execute(query, values).scalar_one()
    return found


def exists_on_probation(
    connection: Connection, states: Collection[str], crashes: int, since: datetime, until: datetime
) -> bool:
    """Whether a job in these states has more than so many crashes, and an attempt that began within that time."""
    query = select(jobs.c.key).where(
        jobs.c.state.in_(states),
        jobs.c.crashes > crashes,
        jobs.c.not_before.between(since, until),
        # One whose rollback has yet to begin has no attempt.
        or_(jobs.c.rollback.is_(None), jobs.c.rollback == "running"),
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def state(connection: Connection, key: JobKey, *, attempt: int, lock: bool) -> RowMapping | None:
    """`state`, `rollback` and `gives_way` of a job, if it still is at that attempt."""
    wanted = {"wanted_key": key, "wanted_attempt": attempt}
    return connection.execute(_STATE_LOCKED if lock else _STATE, wanted).mappings().one_or_none()


def change_all(connection: Connection, keys: Collection[JobKey], values: Mapping[str, Any]) -> None:
    """Change jobs whose rows are locked."""
    connection.execute(update(jobs).where(jobs.c.key.in_(keys)).values(**values))


def change(connection: Connection, key: JobKey, *, attempt: int, state: str, values: Mapping[str, Any]) -> bool:
    """Change a job if it still is in `state` with `attempt`; returns whether it was."""
    wanted = {"wanted_key": key, "wanted_attempt": attempt, "wanted_state": state}
    return connection.execute(_CHANGE, {**values, **wanted}).rowcount == 1
