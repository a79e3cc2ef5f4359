"""Queries on `records`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, tuple_

from jobsvc.store.streaming import streamed
from jobsvc.store.tables import jobs, records

PAGE_BYTES = 1024 * 1024
"""About the largest page."""


def page(
    connection: Connection,
    *,
    limit: int,
    after: tuple[int, int] | None = None,
    job_id: str | None = None,
    owner: str | None = None,
) -> tuple[Sequence[Row[Any]], bool]:
    """Up to `limit` records after `after`, in (job key, row) order, and whether there may be more.

    Fewer if they are large; with an `owner`, those of this user's jobs.
    Each has job_key, row, date, and data, which is JSON text.
    """
    query = (
        select(records.c.job_key, records.c.row, records.c.date, records.c.data)
        .order_by(records.c.job_key, records.c.row)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(records.c.job_key, records.c.row) > after)
    if job_id is not None:
        query = query.where(records.c.job_key == select(jobs.c.key).where(jobs.c.id == job_id).scalar_subquery())
    if owner is not None:
        query = query.where(records.c.job_key.in_(select(jobs.c.key).where(jobs.c.user == owner)))
    found: list[Row[Any]] = []
    characters = 0
    with streamed(connection, query) as result:
        for row in result:
            if len(found) == limit or characters > PAGE_BYTES:
                return found, True
            found.append(row)
            characters += len(row.data)
    return found, False
