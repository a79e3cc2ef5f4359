"""What the machine would allow: why some rows of the bench can't be better.

    python -m bench.limits

The store writes rows that are all at hand, with nothing else in the process: no file, no service, no other thread.
And a pause on a service that has nothing to compute. Prints a table; nothing in it has a target.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import paused_memory
from bench.measure import Stopwatch, middle_pair, percentile
from bench.report import Row, at_most, times, unjudged
from bench.results import Results, here
from bench.scale import FULL
from bench.workshop import DATE_COLUMN, Workshop, wait_until
from jobsvc.runs.checkpoint import PART_ITEMS
from jobsvc.runs.runner import BATCH_ITEMS, BATCHES_ALONE, PARTS_ALONE
from jobsvc.store.database import Database
from jobsvc.store.inserts.bulk import bulk_insert
from jobsvc.store.inserts.columns import Columns, Same
from jobsvc.store.migrate import prepare
from jobsvc.store.tables import records

COLUMNS = ("job_key", "row", "date", "data")

BATCHES_TOGETHER = 3
"""About how many batches of jobs that run together share a transaction."""

PAUSES = 200


def rows(workshop: Workshop) -> Iterator[Row]:
    count = workshop.scale.crowd * workshop.scale.crowd_rows
    dates, data = _fields(workshop.part(count))
    pairs = []
    for _ in range(workshop.scale.rounds):
        one = _written(
            workshop, _order(1, count, BATCH_ITEMS * BATCHES_ALONE), dates, data, PART_ITEMS * PARTS_ALONE, 1
        )
        order = _order(workshop.scale.crowd, count, BATCH_ITEMS)
        pairs.append((count / _written(workshop, order, dates, data, PART_ITEMS, BATCHES_TOGETHER), count / one))
    what = f"the rows of {workshop.scale.crowd} jobs, written by the store alone"
    yield times(what, *middle_pair(pairs), unit="rows/s", against="of one job", at_least=None)
    pauses = _pauses(workshop)
    for percent in (50, 99):
        what = f"pause answered, p{percent} of {len(pauses)}, by a service with nothing to compute"
        yield unjudged(at_most(what, percentile(pauses, percent), 0, unit="ms"), "none")


def _fields(file: Path) -> tuple[list[str], list[str]]:
    """The dates of all rows, and all rows as JSON."""
    with file.open(newline="", encoding="utf-8") as text:
        reader = csv.reader(text)
        date = next(reader).index(DATE_COLUMN)
        found = [(fields[date][:10], json.dumps(fields)) for fields in reader]
    return [each[0] for each in found], [each[1] for each in found]


def _order(jobs: int, count: int, batch: int) -> list[tuple[int, range]]:
    """Batches in the order in which jobs that run together commit them: (job, rows). Of all rows, each has a part."""
    each = count // jobs
    starts = range(0, each, batch)
    return [
        (job, range(job * each + start, job * each + min(start + batch, each)))
        for start in starts
        for job in range(jobs)
    ]


def _written(
    workshop: Workshop,
    order: Sequence[tuple[int, range]],
    dates: list[str],
    data: list[str],
    part: int,
    together: int,
) -> float:
    """Seconds; so many batches share a transaction, and each is inserted in parts of so many rows."""
    path = workshop.fresh_path("limit")
    with closing(Database(f"sqlite:///{path}")) as database:
        prepare(database)
        watch = Stopwatch()
        batches = iter(order)
        while group := list(islice(batches, together)):
            with database.write() as connection:
                for job, rows in group:
                    for at in range(rows.start, rows.stop, part):
                        taken = range(at, min(at + part, rows.stop))
                        texts = dates[taken.start : taken.stop], data[taken.start : taken.stop]
                        bulk_insert(connection, records, COLUMNS, Columns(Same(job + 1), taken, *texts))
        seconds = watch.seconds
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    return seconds


def _pauses(workshop: Workshop) -> list[float]:
    """Milliseconds. The job does nothing with a row in five seconds."""
    found = []
    with workshop.server(JOBSVC_KINDS=paused_memory.KIND) as running:
        answer = running.client.upload(workshop.part(1000), paused_memory.ROUTE)
        job_id = answer.json["id"]
        for _ in range(PAUSES):
            wait_until(lambda: job_id in running.in_state("running"))
            answer = running.pause(job_id)
            assert answer.json["state"] == "paused", answer
            found.append(answer.seconds * 1000)
            running.resume(job_id)
    return found


def main() -> int:
    results = Results(here("full"))
    with TemporaryDirectory(prefix="jobsvc-bench-") as directory:
        results.add(rows(Workshop(Path(directory), FULL)))
    print(results.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
