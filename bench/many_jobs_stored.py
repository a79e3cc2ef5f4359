"""A data directory with as many finished jobs as are wanted: straight into the database, in seconds."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.workshop import Workshop

USERS = 20
KINDS = ("baselineCSV", "baselineCSV", "baselineCSV", "bulkTeam", "createExport")
STATES = (*("succeeded",) * 16, "failed", "terminated", "failed", "paused")
"""What jobs are, by chance: the same each time."""

USER, KIND = "user-7", "bulkTeam"

COMMON, RARE = "common", "rare"
"""In the names of most files, and of one in a thousand."""


def directory_with_jobs(workshop: Workshop, count: int) -> Path:
    """A data directory that the service has made, with `count` jobs in it."""
    made = workshop.fresh_path("jobs")
    with workshop.server() as running:
        running.wait_succeeded(running.upload(workshop.part(10)))
        running.server.stop()
        shutil.copytree(running.server.data_dir, made)
    with closing(sqlite3.connect(made / "jobsvc.db", isolation_level=None)) as database:
        # Nobody minds if it is lost.
        database.execute("PRAGMA synchronous=OFF")
        database.execute("BEGIN")
        # An index is made of all rows at once in a fraction of the time.
        of_jobs = "FROM sqlite_master WHERE type = 'index' AND tbl_name = 'jobs' AND sql IS NOT NULL"
        indexes = database.execute(f"SELECT name, sql {of_jobs}").fetchall()
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        _add(database, count)
        for _, statement in indexes:
            database.execute(statement)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return made


def _add(database: sqlite3.Connection, count: int) -> None:
    found = database.execute("SELECT * FROM jobs")
    names = [column[0] for column in found.description]
    # The one that has run is one of them; all others are like it but for a few columns.
    like = dict(zip(names, found.fetchone(), strict=True))
    columns, places = ", ".join(f'"{name}"' for name in names), ", ".join("?" * len(names))
    rows = (tuple(row.values()) for row in _like(like, count - 1))
    database.executemany(f"INSERT INTO jobs ({columns}) VALUES ({places})", rows)


def _like(job: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for number in range(2, count + 2):
        user, kind = f"user-{chance.randrange(USERS)}", chance.choice(KINDS)
        name = f"{RARE if number % 1000 == 0 else COMMON}-{number}.csv"
        new_id = f"{user}-{kind}-{number:020}"
        yield {
            **job,
            "key": number,
            "id": new_id,
            "user": user,
            "kind": kind,
            "state": chance.choice(STATES),
            "filename": name,
            "searched": f"{new_id}\n{name}".lower(),
        }
