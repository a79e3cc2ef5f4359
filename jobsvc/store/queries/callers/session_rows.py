"""Queries on `sessions`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select, update

from jobsvc.store.tables import api_keys, sessions


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(sessions).values(**values))


def with_key(connection: Connection, digest: str) -> RowMapping | None:
    """A session, whose columns are called `session_…`, and the row of its key: NULL where a setting has the key."""
    columns = [column.label(f"session_{column.name}") for column in sessions.c]
    joined = sessions.outerjoin(api_keys, api_keys.c.id == sessions.c.key_id)
    query = select(*columns, api_keys).select_from(joined).where(sessions.c.digest == digest)
    return connection.execute(query).mappings().one_or_none()


def remove(connection: Connection, digest: str) -> bool:
    """Returns whether it was there."""
    return connection.execute(delete(sessions).where(sessions.c.digest == digest)).rowcount > 0


def note_use(connection: Connection, digest: str, at: datetime) -> None:
    """Note when a session was used last: it only moves on."""
    earlier = (sessions.c.digest == digest, sessions.c.last_used_at < at)
    connection.execute(update(sessions).where(*earlier).values(last_used_at=at))


def remove_ended(connection: Connection, now: datetime, unused_since: datetime, limit: int) -> int:
    """Remove sessions that have expired, or were not used since then. Returns how many; at most `limit`."""
    ended = or_(sessions.c.expires_at <= now, sessions.c.last_used_at <= unused_since)
    some = select(sessions.c.digest).where(ended).limit(limit)
    return connection.execute(delete(sessions).where(sessions.c.digest.in_(some))).rowcount
