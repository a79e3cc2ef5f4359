"""Very many jobs, written into the database at once: submitting them one by one would take longer than the test."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert

from jobsvc.clock import now
from jobsvc.store.database import Database
from jobsvc.store.tables import jobs


def add_jobs(
    database: Database, many: int, state: str = "queued", kind: str = "ticks", user: str = "Ann", **params: object
) -> list[str]:
    """Jobs that were submitted one after the other; returns their ids."""
    began = now() - timedelta(days=1)
    rows = [
        {
            "id": f"{user}-{kind}-1575836394-{number}",
            "kind": kind,
            "user": user,
            "state": state,
            "params": params,
            "warnings": [],
            "created_at": began + timedelta(seconds=number),
            "queued_at": began + timedelta(seconds=number),
        }
        for number in range(many)
    ]
    with database.write() as connection:
        connection.execute(insert(jobs), rows)
    return [str(row["id"]) for row in rows]
