"""A kind whose items take a known time, so that a job lasts as long as a test needs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import delete, select

from jobsvc.kinds.contract import Batch, Effects, End, JobContext, Kind, KindParams, Refusal, Work
from jobsvc.store.tables import records


class TicksParams(KindParams):
    count: int
    seconds: float = 0.004
    """For each item."""
    batch: int = 5


class Ticks(Kind):
    """Makes `count` records, one after the other."""

    name = "ticks"
    takes_file = False
    Params = TicksParams

    def open(self, context: JobContext) -> Work:
        return _TicksWork(context)

    def undo(self, effects: Effects, limit: int) -> int:
        mine = records.c.job_key == effects.job_key
        latest = select(records.c.row).where(mine).order_by(records.c.row.desc()).limit(limit)
        return effects.execute(delete(records).where(mine, records.c.row.in_(latest))).rowcount


class _TicksWork(Work):
    def __init__(self, context: JobContext) -> None:
        self._context = context
        self.size = context.params.count
        self.columns = ["number"]

    def batches(self) -> Iterator[Batch]:
        start = self._context.cursor["next"] if self._context.cursor else 1
        while start <= self.size:
            stop = min(start + self._context.params.batch, self.size + 1)
            yield _Numbers(start, stop)
            start = stop

    def process(self, number: int) -> None:
        # A stop ends the item early: it counts all the same.
        self._context.stopped.wait(self._context.params.seconds)

    def apply(self, effects: Effects, items: Sequence[int]) -> Sequence[tuple[int, str]]:
        rows = [(effects.job_key, number, "2026-01-01", f'["{number}"]') for number in items]
        effects.insert(records, ("job_key", "row", "date", "data"), rows)
        return ()


class _Numbers(Batch):
    def __init__(self, start: int, stop: int) -> None:
        self._start = start
        self.items = range(start, stop)

    def end(self, taken: int) -> End:
        return End({"next": self._start + taken}, self._start + taken - 1)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


class Tocks(Ticks):
    """The same by another name, for tests that steer all jobs of a kind."""

    name = "tocks"


class StubbornParams(TicksParams):
    gate: str
    """A named pipe: each item takes until somebody has opened it for writing."""


class Stubborn(Ticks):
    """Items that heed no stop: a job obeys when a test opens its gate."""

    name = "stubborn"
    Params = StubbornParams

    def open(self, context: JobContext) -> Work:
        return _StubbornWork(context)


class _StubbornWork(_TicksWork):
    def process(self, number: int) -> None:
        Path(self._context.params.gate).read_bytes()


class Sticky(Ticks):
    """What it makes can't be removed, though it says that it can be."""

    name = "sticky"

    def undo(self, effects: Effects, limit: int) -> int:
        raise RuntimeError("it sticks")
