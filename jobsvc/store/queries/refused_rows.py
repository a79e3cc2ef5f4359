"""Queries on `refused_rows`: the items that could not be taken, and why.

`Refused` in `kinds/errors.py` lists where the reasons are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import refused_rows


def add(connection: Connection, key: JobKey, rows: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(insert(refused_rows), [{"job_key": key, **row} for row in rows])


def of_job(connection: Connection, key: JobKey, after: int, limit: int) -> Sequence[RowMapping]:
    """A job's refused items after the item number `after`, in order."""
    query = (
        select(refused_rows)
        .where(refused_rows.c.job_key == key, refused_rows.c.item > after)
        .order_by(refused_rows.c.item)
        .limit(limit)
    )
    return connection.execute(query).mappings().all()
