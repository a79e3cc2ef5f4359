"""From the start of the process to ready, with thousands of unfinished jobs and without."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench.measure import Stopwatch, middle_pair_by_difference
from bench.report import Row, at_most_more
from bench.workshop import Workshop

MAX_MORE_SECONDS = 0.5
ROWS_PER_JOB = 10
STATES = ("running", "queued", "paused")
"""What the unfinished jobs are, by turns: a third was running when the process died, far more than ever do."""


def rows(workshop: Workshop) -> Iterator[Row]:
    count = workshop.scale.unfinished_jobs
    full = _unfinished(workshop, count)
    pairs = []
    for _ in range(workshop.scale.start_rounds):
        copy = workshop.fresh_path("data")
        shutil.copytree(full, copy)
        pairs.append((_seconds_to_ready(workshop, copy), _seconds_to_ready(workshop, workshop.fresh_path("data"))))
    shutil.rmtree(full)
    what = f"start to ready, {count:,} unfinished jobs"
    yield at_most_more(what, *middle_pair_by_difference(pairs), MAX_MORE_SECONDS, unit="s", against="empty", digits=2)


def _seconds_to_ready(workshop: Workshop, data_dir: Path) -> float:
    watch = Stopwatch()
    with workshop.server(data_dir):
        return watch.seconds


def _unfinished(workshop: Workshop, count: int) -> Path:
    """A data directory as a process leaves it that was killed with so many jobs in it."""
    left, file = workshop.fresh_path("left"), workshop.part(ROWS_PER_JOB)
    with workshop.server() as running:
        job_id = running.upload(file)
        running.wait_succeeded(job_id)
        running.server.stop()
        shutil.copytree(running.server.data_dir, left)
    (original,) = (left / "files").glob("*.input")
    with closing(sqlite3.connect(left / "jobsvc.db")) as database, database:
        for number in range(count):
            _add_like(database, job_id, f"{job_id}-{number}", STATES[number % len(STATES)])
            shutil.copyfile(original, original.with_name(original.name.replace(job_id, f"{job_id}-{number}")))
    return left


def _add_like(database: sqlite3.Connection, job_id: str, new_id: str, state: str) -> None:
    """Another job like the one there is, that has yet to do its first item."""
    attempt, started_at = (0, None) if state == "queued" else (1, "2026-01-01 00:00:00.000000")
    key = database.execute(
        "INSERT INTO jobs (id, kind, user, state, attempt, params, created_at, queued_at, started_at, "
        "done, failed, position, size, rolled_back, filename) "
        "SELECT ?, kind, user, ?, ?, params, created_at, queued_at, ?, 0, 0, 0, 0, 0, filename FROM jobs WHERE id = ?",
        (new_id, state, attempt, started_at, job_id),
    ).lastrowid
    database.execute(
        'INSERT INTO job_events (job_key, at, "from", "to", who, why) '
        "SELECT ?, created_at, NULL, 'queued', user, 'the job was submitted' FROM jobs WHERE id = ?",
        (key, job_id),
    )
