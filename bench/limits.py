"""What the machine would allow: why some rows of the bench can't be better.

    python -m bench.limits

The store writes rows that are all at hand, and removes them, with nothing else in the process: no file, no service,
no other thread. Imports with nothing of the service (`bare_import.py`). Pauses on a service, and in a fleet, that have
nothing to compute; the same in a fleet beside processes that do nothing but compute. Requests that ask the database for
nothing, beside eight busy slots. And what an open page takes of the processor. Prints a table; nothing in it has a
target.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import bare_import, paused_memory
from bench.client import Client
from bench.fleet import fleet_of
from bench.measure import Stopwatch, cpu_seconds, middle_pair, percentile
from bench.report import Row, at_most, times, unjudged
from bench.results import Results, here
from bench.scale import FULL
from bench.steering import SLOTS
from bench.viewers import PAGES, OpenPages
from bench.workshop import DATE_COLUMN, Workshop, wait_until
from jobsvc.kinds.builtin.baseline_csv import BaselineCSV
from jobsvc.runs.checkpoints.writer import PART_ITEMS
from jobsvc.runs.hooks import CheckpointEffects
from jobsvc.runs.rollback import BatchSize
from jobsvc.runs.runner import BATCH_ITEMS, BATCHES_ALONE, PARTS_ALONE
from jobsvc.store.database import Database
from jobsvc.store.inserts.bulk import bulk_insert
from jobsvc.store.inserts.columns import Columns, Same
from jobsvc.store.migrate import prepare
from jobsvc.store.tables import records
from tests.support.fleet import Fleet

COLUMNS = ("job_key", "row", "date", "data")

BATCHES_TOGETHER = 3
"""About how many batches of jobs that run together share a transaction."""

PAUSES = 200

LOOKS = 1000

PAGES_LOOKS = 300

BUSY_PROCESSES = 4
"""As many as compute in the bench of a fleet: two workers, and PostgreSQL's for their connections."""


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
    yield times(
        "rows removed, by the store alone",
        *middle_pair([_written_and_removed(workshop, dates, data) for _ in range(workshop.scale.rounds)]),
        unit="rows/s",
        against="written, by the store alone",
        at_least=None,
    )
    yield from bare_import.rows(workshop)
    yield from _times("pause answered", _pauses(workshop), "by a service with nothing to compute")
    yield from _times("GET /healthz", _looks(workshop), f"{SLOTS} slots busy")
    what = f"processor time of an open page that asks, of {PAGES_LOOKS} times"
    yield unjudged(at_most(what, _page(workshop), 0, unit="ms"), "none")
    file = workshop.part(1000)
    with fleet_of(workshop, 2, 2, JOBSVC_KINDS=paused_memory.KIND) as fleet:
        yield from _times(
            "fleet: pause answered across processes", _fleet_pauses(fleet, file), "with nothing to compute"
        )
        with _busy_processes(BUSY_PROCESSES):
            beside = f"beside {BUSY_PROCESSES} processes that only compute"
            yield from _times("fleet: pause answered across processes", _fleet_pauses(fleet, file), beside)


def _times(what: str, found: Sequence[float], how: str) -> Iterator[Row]:
    """Of times in ms, the middle and the slowest."""
    for percent in (50, 99):
        row = at_most(f"{what}, p{percent} of {len(found)}, {how}", percentile(found, percent), 0, unit="ms")
        yield unjudged(row, "none")


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
    """See `_write`, into a database of its own."""
    path = workshop.fresh_path("limit")
    with closing(Database(f"sqlite:///{path}")) as database:
        prepare(database)
        seconds = _write(database, order, dates, data, part, together)
    _unlink(path)
    return seconds


def _write(
    database: Database, order: Sequence[tuple[int, range]], dates: list[str], data: list[str], part: int, together: int
) -> float:
    """Seconds; so many batches share a transaction, and each is inserted in parts of so many rows."""
    watch = Stopwatch()
    batches = iter(order)
    while group := list(islice(batches, together)):
        with database.write() as connection:
            for job, rows in group:
                for at in range(rows.start, rows.stop, part):
                    taken = range(at, min(at + part, rows.stop))
                    texts = dates[taken.start : taken.stop], data[taken.start : taken.stop]
                    bulk_insert(connection, records, COLUMNS, Columns(Same(job + 1), taken, *texts))
    return watch.seconds


def _unlink(path: Path) -> None:
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()


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


def _written_and_removed(workshop: Workshop, dates: list[str], data: list[str]) -> tuple[float, float]:
    """Rows a second that are removed as a rollback removes them, and written as one job that is alone writes them."""
    count, path = len(data), workshop.fresh_path("limit")
    with closing(Database(f"sqlite:///{path}")) as database:
        prepare(database)
        order = _order(1, count, BATCH_ITEMS * BATCHES_ALONE)
        writing = _write(database, order, dates, data, PART_ITEMS * PARTS_ALONE, 1)
        watch, size = Stopwatch(), BatchSize()
        removed = 1
        while removed:
            with database.write() as connection:
                begun = watch.seconds
                removed = BaselineCSV().undo(CheckpointEffects(connection, 1), size.next(busy=False))
            size.took(removed, watch.seconds - begun)
        removing = watch.seconds
    _unlink(path)
    return count / removing, count / writing


def _looks(workshop: Workshop) -> list[float]:
    """Milliseconds of requests that ask nothing of the database, while imports take all slots."""
    with workshop.server() as running:
        for _ in range(SLOTS):
            running.upload(workshop.part(workshop.scale.steered_rows))
        wait_until(lambda: len(running.in_state("running")) == SLOTS)
        return [running.client.get("/healthz").seconds * 1000 for _ in range(LOOKS)]


def _page(workshop: Workshop) -> float:
    """Milliseconds of the processor for each time that an open page asks, and is told that nothing is new."""
    with workshop.server() as running:
        for _ in range(PAGES):
            running.wait_succeeded(running.upload(workshop.part(1)))
        pages = OpenPages(running.server.port, 0)
        with closing(HTTPConnection("127.0.0.1", running.server.port)) as one:
            tag = pages.ask(one, "")
            before = cpu_seconds(running.pid)
            for _ in range(PAGES_LOOKS):
                tag = pages.ask(one, tag)
            return (cpu_seconds(running.pid) - before) / PAGES_LOOKS * 1000


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    """So many processes that compute and nothing else."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def _fleet_pauses(fleet: Fleet, file: Path) -> list[float]:
    """Milliseconds, through a web process that runs nothing."""
    client = Client(fleet.webs[0].port)
    job_id = client.upload(file, paused_memory.ROUTE).json["id"]
    found = []
    for _ in range(PAUSES):
        wait_until(lambda: client.get(f"/jobs/{job_id}").json["state"] == "running")
        answer = client.post(f"/jobs/{job_id}/pause")
        assert answer.json["state"] == "paused", answer
        found.append(answer.seconds * 1000)
        client.post(f"/jobs/{job_id}/resume")
    return found


def main() -> int:
    results = Results(here("full"))
    with TemporaryDirectory(prefix="jobsvc-bench-") as directory:
        results.add(rows(Workshop(Path(directory), FULL)))
    print(results.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
