"""Queries on `webhooks`, the outbox. The clock that all senders share says when a message is due."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    RowMapping,
    bindparam,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from jobsvc.identifiers import JobKey
from jobsvc.store import clock
from jobsvc.store.tables import webhooks

# Built once: the sender asks whenever a job has changed.
_NOW = bindparam("now", type_=webhooks.c.next_at.type)
_BUT_NOT = bindparam("but_not", type_=webhooks.c.id.type, expanding=True)
_DUE = (
    select(webhooks.c.id, webhooks.c.url)
    .where(webhooks.c.next_at <= _NOW, webhooks.c.id.not_in(_BUT_NOT))
    .order_by(webhooks.c.next_at, webhooks.c.id)
    .limit(bindparam("most", type_=Integer))
)
_NEXT_AFTER = select(webhooks.c.next_at).where(webhooks.c.next_at > _NOW).order_by(webhooks.c.next_at).limit(1)


def add(connection: Connection, job_key: JobKey, *, message_id: str, url: str, body: str, at: datetime) -> None:
    """A new message of something that happened at `at`, due at once."""
    due = clock.read(connection, lambda: at)
    values = {"job_key": job_key, "message_id": message_id, "url": url, "body": body, "created_at": at, "next_at": due}
    connection.execute(insert(webhooks), values)


def receiver(url: str) -> str:
    """The receiver of a message: its URL's host and port."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return url


def _goes_to(whom: str) -> ColumnElement[bool]:
    """The same as `receiver(url) == whom`."""
    starts = [f"{scheme}://{whom}" for scheme in ("http", "https")]
    begins = [
        func.lower(func.substr(webhooks.c.url, 1, len(start) + 1)).in_([start + end for end in ("", "/", "?", "#")])
        for start in starts
    ]
    return or_(webhooks.c.url == whom, *begins)


def due(
    connection: Connection,
    now: datetime,
    limit: int,
    *,
    but_not: Collection[int] = (),
    but_not_to: Collection[str] = (),
) -> Sequence[RowMapping]:
    """`id` and `url` of messages that are due, the longest due first, without those messages and those receivers."""
    query = _DUE.where(*(not_(_goes_to(whom)) for whom in but_not_to)) if but_not_to else _DUE
    values = {"now": now, "but_not": list(but_not), "most": limit}
    return connection.execute(query, values).mappings().all()


def next_after(connection: Connection, now: datetime) -> datetime | None:
    """When the next message is due of those that are not due yet."""
    return connection.execute(_NEXT_AFTER, {"now": now}).scalar_one_or_none()


def one_scheduled(connection: Connection, key: int) -> RowMapping | None:
    """A message, if it is yet to be delivered."""
    query = select(webhooks).where(webhooks.c.id == key, webhooks.c.next_at.is_not(None))
    return connection.execute(query).mappings().one_or_none()


def take(connection: Connection, key: int, now: datetime, until: datetime) -> RowMapping | None:
    """Take a message that is due: put it off until then, so that nobody else takes it."""
    mine = update(webhooks).where(webhooks.c.id == key, webhooks.c.next_at <= now)
    return connection.execute(mine.values(next_at=until).returning(webhooks)).mappings().one_or_none()


def note_delivered(connection: Connection, key: int, at: datetime) -> None:
    values = {"attempts": webhooks.c.attempts + 1, "next_at": None, "delivered_at": at, "last_error": None}
    connection.execute(update(webhooks).where(webhooks.c.id == key).values(values))


def note_failed(connection: Connection, message: RowMapping, error: str, next_at: datetime | None) -> bool:
    """An attempt at a message failed; the next one is at `next_at`, or never.

    Returns False, and changes nothing, if the message is not as it was when the attempt
    began: then another process has it, or has delivered it, since this one was too slow.
    """
    unchanged = (webhooks.c.id == message["id"], webhooks.c.next_at == message["next_at"])
    values = {"attempts": webhooks.c.attempts + 1, "next_at": next_at, "last_error": error}
    return connection.execute(update(webhooks).where(*unchanged).values(values)).rowcount == 1


def of_job(connection: Connection, job_key: JobKey, after: int, limit: int) -> Sequence[RowMapping]:
    """A job's messages after the message `after`, oldest first; of the `body`, only its `beginning`."""
    query = _SHOWN.where(webhooks.c.job_key == job_key, webhooks.c.id > after).order_by(webhooks.c.id)
    return connection.execute(query.limit(limit)).mappings().all()


def latest(connection: Connection, job_key: JobKey, limit: int) -> Sequence[RowMapping]:
    """A job's latest messages, the latest first; of the `body`, only its `beginning`."""
    query = _SHOWN.where(webhooks.c.job_key == job_key).order_by(webhooks.c.id.desc())
    return connection.execute(query.limit(limit)).mappings().all()


def states(connection: Connection, job_key: JobKey) -> tuple[int, int, int]:
    """How many messages a job has, how many attempts at them, and how many are delivered."""
    counted = (func.count(), func.coalesce(func.sum(webhooks.c.attempts), 0), func.count(webhooks.c.delivered_at))
    found = connection.execute(select(*counted).where(webhooks.c.job_key == job_key)).one()
    return int(found[0]), int(found[1]), int(found[2])


_BEGINNING = func.substr(webhooks.c.body, 1, 100).label("beginning")

_SHOWN = select(*(column for column in webhooks.c if column.name != "body"), _BEGINNING)
