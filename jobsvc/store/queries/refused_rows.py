"""Queries on `refused_rows`, the items that could not be taken and why, and on `refusal_counts`, how many for what.

`Refused` in `kinds/errors.py` lists where the reasons are made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import refusal_counts, refused_rows

# Built once: a checkpoint may execute them.
_COUNTS = (
    select(refusal_counts).where(refusal_counts.c.job_key == bindparam("wanted_key")).order_by(refusal_counts.c.place)
)
_UNCOUNT = delete(refusal_counts).where(
    refusal_counts.c.job_key == bindparam("wanted_key"), refusal_counts.c.place == bindparam("wanted_place")
)
_COUNT = insert(refusal_counts)


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


def some(connection: Connection, key: JobKey, items: Collection[int]) -> Sequence[RowMapping]:
    """Those of a job's items that were refused, in order."""
    query = select(refused_rows).where(refused_rows.c.job_key == key, refused_rows.c.item.in_(items))
    return connection.execute(query.order_by(refused_rows.c.item)).mappings().all()


def counts(connection: Connection, key: JobKey) -> Sequence[RowMapping]:
    """How many of a job's items were refused for each sort of reason, the first sort first."""
    return connection.execute(_COUNTS, {"wanted_key": key}).mappings().all()


def set_counts(connection: Connection, key: JobKey, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put these counts, told apart by `place`, in the place of what was there. The job's row is locked."""
    connection.execute(_UNCOUNT, [{"wanted_key": key, "wanted_place": row["place"]} for row in rows])
    connection.execute(_COUNT, [{"job_key": key, **row} for row in rows])
