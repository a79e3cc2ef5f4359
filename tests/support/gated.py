"""A gate that a test opens, and what waits at it: the items of a kind, or the checkpoints of a CSV kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Condition, Event

import pytest
from sqlalchemy import delete, select

from jobsvc.kinds.contract import Batch, Effects, End, JobContext, Kind, KindParams, Refusal, Work
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.store.tables import records
from tests.support.waiting import TIMEOUT


class Gate:
    """Lets items through, in the order in which they came: no item takes the turn of one that waits already.

    `reached` says how many items have arrived at the gate. `_changed` guards it, and `_allowed`.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._allowed = 0
        self.reached = 0

    def open(self, items: int = 1_000_000) -> None:
        """Let that many further items through."""
        with self._changed:
            self._allowed += items
            self._changed.notify_all()

    def pass_through(self) -> None:
        """What an item does: arrive, and wait until it is let through."""
        with self._changed:
            self.reached = mine = self.reached + 1
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._allowed >= mine, TIMEOUT), "the gate stayed shut"

    def wait_reached(self, items: int) -> None:
        """Wait until that many items have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.reached >= items, TIMEOUT), f"{self.reached} of {items} arrived"


@contextmanager
def gated_checkpoints() -> Iterator[Gate]:
    """A gate before each checkpoint of a job that reads a CSV. It is open at the end."""
    gate = Gate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CsvWork, "flush", lambda work: gate.pass_through())
        try:
            yield gate
        finally:
            gate.open()


class GatedParams(KindParams):
    count: int = 10
    batch: int = 1
    fail_at: int | None = None


class Gated(Kind):
    """Makes `count` records, `batch` to a checkpoint, each after passing the gate."""

    name = "gated"
    takes_file = False
    Params = GatedParams

    def __init__(self) -> None:
        self.gate = Gate()
        self.closed = Event()
        """Set whenever a run has closed its work."""

    def open(self, context: JobContext) -> Work:
        return _GatedWork(context, self)

    def undo(self, effects: Effects, limit: int) -> int:
        mine = records.c.job_key == effects.job_key
        latest = select(records.c.row).where(mine).order_by(records.c.row.desc()).limit(1).scalar_subquery()
        return effects.execute(delete(records).where(mine, records.c.row == latest)).rowcount


class _GatedWork(Work):
    def __init__(self, context: JobContext, kind: Gated) -> None:
        self._context, self._kind = context, kind
        self.size = context.params.count
        self.columns = ["number"]

    def batches(self) -> Iterator[Batch]:
        start = self._context.cursor["next"] if self._context.cursor else 1
        step = self._context.params.batch
        while start <= self.size:
            stop = min(start + step, self.size + 1)
            yield _Numbers(start, stop)
            start = stop

    def process(self, number: int) -> None:
        self._kind.gate.pass_through()
        if number == self._context.params.fail_at:
            raise RuntimeError(f"item {number} broke")

    def apply(self, effects: Effects, items: Sequence[int]) -> Sequence[tuple[int, str]]:
        rows = [(effects.job_key, number, "2026-01-01", f'["{number}"]') for number in items]
        effects.insert(records, ("job_key", "row", "date", "data"), rows)
        return ()

    def close(self) -> None:
        self._kind.closed.set()


class _Numbers(Batch):
    def __init__(self, start: int, stop: int) -> None:
        self._start = start
        self.items = range(start, stop)

    def end(self, taken: int) -> End:
        return End({"next": self._start + taken}, self._start + taken - 1)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)
