"""Queries on `webhooks`, the outbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, insert, select, update

from jobsvc.store.tables import webhooks

_AT_A_TIME = 100


def add(connection: Connection, job_key: int, *, message_id: str, url: str, body: str, at: datetime) -> None:
    """A new message, due at once."""
    values = {"job_key": job_key, "message_id": message_id, "url": url, "body": body, "created_at": at, "next_at": at}
    connection.execute(insert(webhooks), values)


def scheduled(connection: Connection) -> Iterator[RowMapping]:
    """`id`, `url` and `next_at` of all messages that wait for delivery, by when they are due; fetched as needed."""
    query = (
        select(webhooks.c.id, webhooks.c.url, webhooks.c.next_at)
        .where(webhooks.c.next_at.is_not(None))
        .order_by(webhooks.c.next_at, webhooks.c.id)
        .execution_options(yield_per=_AT_A_TIME)
    )
    yield from connection.execute(query).mappings()


def one_scheduled(connection: Connection, key: int) -> RowMapping | None:
    """A message, if it is yet to be delivered."""
    query = select(webhooks).where(webhooks.c.id == key, webhooks.c.next_at.is_not(None))
    return connection.execute(query).mappings().one_or_none()


def take(connection: Connection, key: int, now: datetime, until: datetime) -> RowMapping | None:
    """A message that is due, put off until then so that nobody else takes it."""
    due = update(webhooks).where(webhooks.c.id == key, webhooks.c.next_at <= now)
    return connection.execute(due.values(next_at=until).returning(webhooks)).mappings().one_or_none()


def note_delivered(connection: Connection, key: int, at: datetime) -> None:
    values = {"attempts": webhooks.c.attempts + 1, "next_at": None, "delivered_at": at, "last_error": None}
    connection.execute(update(webhooks).where(webhooks.c.id == key).values(values))


def note_failed(connection: Connection, key: int, error: str, next_at: datetime | None) -> None:
    """An attempt failed; the next one is at `next_at`, or never."""
    values = {"attempts": webhooks.c.attempts + 1, "next_at": next_at, "last_error": error}
    connection.execute(update(webhooks).where(webhooks.c.id == key).values(values))


def of_job(connection: Connection, job_key: int) -> Sequence[RowMapping]:
    """A job's messages, oldest first."""
    query = select(webhooks).where(webhooks.c.job_key == job_key).order_by(webhooks.c.id)
    return connection.execute(query).mappings().all()
