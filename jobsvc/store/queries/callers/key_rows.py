"""Queries on `api_keys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, insert, or_, select, update

from jobsvc.store.tables import api_keys

_ANY_THERE = select(exists(select(api_keys.c.id)))
"""Built once: it is asked every second."""


def add(connection: Connection, values: Mapping[str, Any]) -> None:
    connection.execute(insert(api_keys).values(**values))


def by_id(connection: Connection, key_id: str) -> RowMapping | None:
    return connection.execute(select(api_keys).where(api_keys.c.id == key_id)).mappings().one_or_none()


def every(connection: Connection) -> Sequence[RowMapping]:
    """All keys, the oldest first, those that were revoked among them."""
    query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
    return connection.execute(query).mappings().all()


def any_there(connection: Connection) -> bool:
    """Whether there was ever a key."""
    return bool(connection.execute(_ANY_THERE).scalar_one())


def revoke(connection: Connection, key_id: str, at: datetime) -> bool:
    """Note when a key was revoked, unless it was before. Returns whether it was not."""
    mine = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(update(api_keys).where(*mine).values(revoked_at=at)).rowcount == 1


def note_use(connection: Connection, key_id: str, at: datetime) -> None:
    """Note when a key was used last: it only moves on."""
    earlier = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < at)
    connection.execute(update(api_keys).where(api_keys.c.id == key_id, earlier).values(last_used_at=at))
