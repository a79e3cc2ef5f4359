"""Queries on `idempotency_keys`: which request made which job."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, RowMapping, delete, insert, select

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import idempotency_keys


def find(connection: Connection, user: str, key: str) -> RowMapping | None:
    """What a user's key stands for: `fingerprint`, `job_key`."""
    query = select(idempotency_keys).where(idempotency_keys.c.user == user, idempotency_keys.c.key == key)
    return connection.execute(query).mappings().one_or_none()


def remember(connection: Connection, user: str, key: str, fingerprint: str, *, job_key: JobKey, at: datetime) -> None:
    values = {"user": user, "key": key, "fingerprint": fingerprint, "job_key": job_key, "created_at": at}
    connection.execute(insert(idempotency_keys), values)


def forget_before(connection: Connection, user: str, key: str, at: datetime) -> None:
    """Forget a user's key if it was first used before `at`."""
    mine = (idempotency_keys.c.user == user, idempotency_keys.c.key == key)
    connection.execute(delete(idempotency_keys).where(*mine, idempotency_keys.c.created_at < at))
