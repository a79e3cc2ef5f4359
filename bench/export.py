"""The export of a year: rows a second from the POST's answer to `succeeded`."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Stopwatch, middle_pair
from bench.report import Row, not_measured, times
from bench.workshop import Running, Workshop

WHAT = "export of a year"
AT_LEAST = 0.7
FIRST, LAST = "2013-01-01", "2013-12-31"


def rows(workshop: Workshop) -> Iterator[Row]:
    shell = shutil.which("sqlite3")
    if shell is None:
        yield not_measured(WHAT, "the sqlite3 shell is not installed", f"at least {AT_LEAST} x")
        return
    file = workshop.part(workshop.scale.import_rows)
    with file.open(newline="") as text:
        columns = len(next(csv.reader(text)))
    data_dir = workshop.fresh_path("export")
    pairs = []
    with workshop.server(data_dir) as running:
        running.wait_succeeded(running.upload(file))
        for _ in range(workshop.scale.rounds):
            count, ours = _ours(running, data_dir)
            same, theirs = _shell(workshop, shell, data_dir, columns)
            assert count == same
            pairs.append((count / ours, count / theirs))
    yield times(WHAT, *middle_pair(pairs), unit="rows/s", against="sqlite3 -csv, the same query", at_least=AT_LEAST)


def _ours(running: Running, data_dir: Path) -> tuple[int, float]:
    """How many rows, some of the file's being of another year, and seconds."""
    answer = running.client.post("/exportData", {"from": FIRST, "to": LAST})
    assert answer.status == 200, answer
    job_id = answer.json["Job ID"]
    watch = Stopwatch()
    running.wait_succeeded(job_id)
    seconds = watch.seconds
    (result,) = (data_dir / "files" / f"{job_id}.output").glob("result.*")
    count = _rows(result)
    running.drop(job_id)
    return count, seconds


def _shell(workshop: Workshop, shell: str, data_dir: Path, columns: int) -> tuple[int, float]:
    """SQLite's own shell, in C, over the same database: the same columns of the same records in the same order."""
    fields = "".join(f", json_extract(data, '$[{place}]')" for place in range(columns))
    query = (
        f'SELECT (SELECT id FROM jobs WHERE key = job_key), "row", date{fields} FROM records '
        f"WHERE date BETWEEN '{FIRST}' AND '{LAST}' ORDER BY date, job_key, \"row\""
    )
    path = workshop.fresh_path("shell.csv")
    with path.open("wb") as target:
        watch = Stopwatch()
        subprocess.run([shell, "-csv", "-header", data_dir / "jobsvc.db", query], stdout=target, check=True)
        seconds = watch.seconds
    count = _rows(path)
    path.unlink()
    return count, seconds


def _rows(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file) - 1
