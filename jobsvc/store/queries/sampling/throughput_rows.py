"""Queries on `throughput`: how many items all runs together have dealt with, by time.

Each run adds rows of its own, so that no two wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, func, insert, select

from jobsvc.store.tables import throughput

BUCKET_SECONDS = 5
"""A bucket is so many seconds; its number is the time since 1970, divided by that."""

KEPT_SECONDS = 3600
"""What is older is removed."""

_INSERT = insert(throughput)
"""Built once: checkpoints execute it."""


def add(connection: Connection, items: Mapping[int, float]) -> None:
    """Add items to buckets."""
    rows = [{"bucket": bucket, "total": count} for bucket, count in items.items()]
    connection.execute(_INSERT, rows)


def between(connection: Connection, first: int, end: int) -> dict[int, float]:
    """The items of the buckets from `first` on and before `end`; one without any is left out."""
    query = (
        select(throughput.c.bucket, func.sum(throughput.c.total))
        .where(throughput.c.bucket >= first, throughput.c.bucket < end)
        .group_by(throughput.c.bucket)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def remove_before(connection: Connection, bucket: int, limit: int) -> int:
    """Remove up to `limit` rows of earlier buckets; returns how many."""
    some = select(throughput.c.id).where(throughput.c.bucket < bucket).order_by(throughput.c.bucket).limit(limit)
    return connection.execute(delete(throughput).where(throughput.c.id.in_(some))).rowcount
