"""One upload: rows a second from the POST's answer to `succeeded`."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from bench.measure import Stopwatch, middle_pair
from bench.report import Row, not_measured, times
from bench.workshop import DATE_COLUMN, Workshop
from jobsvc.store.tables import records

LOOP_BATCH = 1000

WHAT = "one upload, POST's answer to succeeded"
WHAT_QUOTED = "the same, quotes around every field"
WHAT_PARTLY_QUOTED = "the same, quotes around one field of every row"
LOOP_AT_LEAST = 2.5
QUOTED_AT_LEAST = 1.5
SHELL_AT_LEAST = 1.0


def rows(workshop: Workshop) -> Iterator[Row]:
    count = workshop.scale.import_rows
    file = workshop.part(count)
    shell = shutil.which("sqlite3")
    loop_pairs, shell_pairs = [], []
    for _ in range(workshop.scale.import_rounds):
        ours = count / _ours(workshop, file)
        loop_pairs.append((ours, count / _loop(workshop, file)))
        if shell is not None:
            shell_pairs.append((ours, count / shell_seconds(workshop, shell, file)))
    yield times(WHAT, *middle_pair(loop_pairs), unit="rows/s", against="obvious loop", at_least=LOOP_AT_LEAST)
    if shell_pairs:
        against = "sqlite3 .import, on the disk"
        yield times(WHAT, *middle_pair(shell_pairs), unit="rows/s", against=against, at_least=SHELL_AT_LEAST)
    else:
        yield not_measured(WHAT, "the sqlite3 shell is not installed", f"at least {SHELL_AT_LEAST} x")
    for what, other in ((WHAT_QUOTED, workshop.quoted(count)), (WHAT_PARTLY_QUOTED, workshop.partly_quoted(count))):
        pairs = [(count / _ours(workshop, other), count / _loop(workshop, other)) for _ in range(workshop.scale.rounds)]
        yield times(what, *middle_pair(pairs), unit="rows/s", against="obvious loop", at_least=QUOTED_AT_LEAST)


def _ours(workshop: Workshop, file: Path) -> float:
    with workshop.server() as running:
        job_id = running.upload(file)
        watch = Stopwatch()
        running.wait_succeeded(job_id)
        seconds = watch.seconds
        assert running.job(job_id)["progress"]["done"] == workshop.scale.import_rows
    return seconds


def _loop(workshop: Workshop, file: Path) -> float:
    """What people write first: csv.reader, json.dumps, executemany; committed with each batch, as progress must be."""
    path = workshop.fresh_path("loop")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(str(CreateTable(records).compile(dialect=sqlite.dialect())))
        for index in records.indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))
        watch = Stopwatch()
        with file.open(newline="", encoding="utf-8") as text:
            reader = csv.reader(text)
            date = next(reader).index(DATE_COLUMN)
            numbered = ((1, row, fields[date][:10], json.dumps(fields)) for row, fields in enumerate(reader, 1))
            while batch := list(islice(numbered, LOOP_BATCH)):
                connection.execute("BEGIN")
                connection.executemany('INSERT INTO records (job_key, "row", date, data) VALUES (?, ?, ?, ?)', batch)
                connection.execute("COMMIT")
        seconds = watch.seconds
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (workshop.scale.import_rows,)
    path.unlink()
    return seconds


def shell_seconds(workshop: Workshop, shell: str, file: Path) -> float:
    """SQLite's own shell, in C: one table of text columns without an index, in one transaction.

    What it has imported is on the disk when it returns: FULL waits for that at the commit, as ours does. With its
    rollback journal it writes a new database once, and so is quicker than with a log.
    """
    path = workshop.fresh_path("shell")
    watch = Stopwatch()
    subprocess.run([shell, "-cmd", "PRAGMA synchronous=FULL", path, f".import --csv {file} flights"], check=True)
    seconds = watch.seconds
    path.unlink()
    return seconds
