"""Queries on what each user has: jobs queued, jobs running, bytes stored."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from jobsvc.store.tables import jobs


def count_queued(connection: Connection, user: str) -> int:
    query = select(func.count()).select_from(jobs).where(jobs.c.state == "queued", jobs.c.user == user)
    return connection.execute(query).scalar_one()


def stored_bytes(connection: Connection, user: str) -> int:
    """How many bytes the files of a user's jobs have in the store."""
    total = func.coalesce(func.sum(jobs.c.upload_bytes + jobs.c.result_bytes), 0)
    query = select(total).where(jobs.c.user == user, jobs.c.files_removed_at.is_(None))
    return int(connection.execute(query).scalar_one())
