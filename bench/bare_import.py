"""What an import would take with nothing of the service around it: its reader, its inserts, and a commit a batch.

In one thread, and with the next batch read by another one meanwhile, as runs do. On SQLite against its shell, and on
PostgreSQL against the obvious loop. Part of `bench.limits`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from queue import Queue
from threading import Event, Thread
from typing import Any, NoReturn

from bench.fleet import loop_speed, own_postgresql
from bench.import_speed import shell_seconds
from bench.measure import Stopwatch, middle_pair
from bench.report import Row, times
from bench.workshop import DATE_COLUMN, Workshop
from jobsvc.clock import now
from jobsvc.kinds.builtin.baseline_csv import BaselineCSV
from jobsvc.kinds.contract import JobContext, Work
from jobsvc.process.interpreter import take_short_turns
from jobsvc.runs.checkpoints.writer import PART_ITEMS
from jobsvc.runs.hooks import CheckpointEffects
from jobsvc.runs.runner import BATCH_ITEMS, BATCHES_ALONE, PARTS_ALONE
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import prepare
from tests.support.fleet import OwnPostgresql

BATCH = BATCH_ITEMS * BATCHES_ALONE
PART = PART_ITEMS * PARTS_ALONE

KEY = 1


def rows(workshop: Workshop) -> Iterator[Row]:
    shell = shutil.which("sqlite3")
    file, count = workshop.part(workshop.scale.import_rows), workshop.scale.import_rows
    alone, ahead, fleet = [], [], []
    for _ in range(workshop.scale.rounds):
        if shell is not None:
            by_shell = count / shell_seconds(workshop, shell, file)
            alone.append((count / _on_sqlite(workshop, file, _in_turns), by_shell))
            ahead.append((count / _on_sqlite(workshop, file, _read_ahead), by_shell))
        with own_postgresql(workshop) as postgresql:
            fleet.append((count / _on_postgresql(postgresql, file), loop_speed(workshop, postgresql)))
    what = "an import with nothing of the service"
    for how, pairs in (("reading and writing in turns", alone), ("reading ahead", ahead)):
        if pairs:
            against = "sqlite3 .import, on the disk"
            yield times(f"{what}, {how}", *middle_pair(pairs), unit="rows/s", against=against, at_least=None)
    against = "obvious loop with COPY"
    what = f"{what}, reading ahead, on PostgreSQL"
    yield times(what, *middle_pair(fleet), unit="rows/s", against=against, at_least=None)


def _on_sqlite(workshop: Workshop, file: Path, how: Any) -> float:
    path = workshop.fresh_path("bare")
    with closing(Database(f"sqlite:///{path}")) as database:
        prepare(database)
        seconds = _imported(database, file, how)
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    return seconds


def _on_postgresql(postgresql: OwnPostgresql, file: Path) -> float:
    with closing(Database(Settings(database_url=postgresql.url).url)) as database:
        return _imported(database, file, _read_ahead)


def _imported(database: Database, file: Path, how: Any) -> float:
    """Seconds."""
    kind = BaselineCSV()
    context = JobContext(
        key=KEY,
        id="bare",
        params=kind.prepare(kind.Params.model_validate({"date_column": DATE_COLUMN}), file).params,
        created_at=now(),
        cursor=None,
        columns=None,
        attempt=1,
        open_input=lambda: file.open("rb"),
        open_output=_makes_none,
        read=database.read,
        stopped=Event(),
        batch_items=lambda: BATCH,
    )
    turns = sys.getswitchinterval()
    take_short_turns()
    watch = Stopwatch()
    with kind.open(context) as work:
        how(database, work)
    seconds = watch.seconds
    sys.setswitchinterval(turns)
    return seconds


def _makes_none(_mark: object) -> NoReturn:
    raise AssertionError("an import makes no file")


def _in_turns(database: Database, work: Work) -> None:
    for batch in work.batches():
        _commit(database, work, work.take(batch, Event().is_set).items)


def _read_ahead(database: Database, work: Work) -> None:
    handed: Queue[Sequence[Any] | None] = Queue(1)

    def commit_all() -> None:
        while (items := handed.get()) is not None:
            _commit(database, work, items)

    committing = Thread(target=commit_all)
    committing.start()
    for batch in work.batches():
        handed.put(work.take(batch, Event().is_set).items)
    handed.put(None)
    committing.join()


def _commit(database: Database, work: Work, items: Sequence[Any]) -> None:
    with database.write() as connection:
        for at in range(0, len(items), PART):
            work.apply(CheckpointEffects(connection, KEY), items[at : at + PART])
