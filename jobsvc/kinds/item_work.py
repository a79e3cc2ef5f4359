"""A `RowKind` opened for one run: its items are done one by one, or some at once, with their retries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

from jobsvc.kinds.batch import Batch, End, Refusal
from jobsvc.kinds.context import JobContext
from jobsvc.kinds.csv.work import OpenCsv
from jobsvc.kinds.cutting import cut_smaller
from jobsvc.kinds.errors import ItemAbandoned, Refused
from jobsvc.kinds.item import Item, Retry, Source
from jobsvc.kinds.item_threads import ItemThreads
from jobsvc.kinds.pacing import Pacer
from jobsvc.kinds.retrying import call_with_retry
from jobsvc.kinds.work import Effects, RefusedLate, Taken, Work

SECONDS_PER_CHECKPOINT = 1.0
"""After so long, the items that are done are committed: about how much work a crash may cost."""

MAX_ITEMS_PER_CHECKPOINT = 1000
"""Keeps what waits for a checkpoint small."""


@dataclass(frozen=True)
class ItemDoer:
    """How a kind does its items: the fields are those of `RowKind`."""

    process: Callable[[Any, Item], None]
    retry: Retry | None
    rate: float | None
    concurrency: int


class ItemWork(Work):
    """Does items one by one, or some at once, as their kind says."""

    def __init__(self, doer: ItemDoer, context: JobContext) -> None:
        self._doer = doer
        self._context = context
        self._pacer = Pacer(doer.rate)
        self._threads: ItemThreads[Item] | None = ItemThreads(doer.concurrency) if doer.concurrency > 1 else None

    @abstractmethod
    def whole_batches(self) -> Iterator[Batch]:
        """The remaining items, in batches of up to MAX_ITEMS_PER_CHECKPOINT."""

    def batches(self) -> Iterator[Batch]:
        return cut_smaller(self.whole_batches(), _time_is_up)

    def take(self, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        taken = self._take_some(batch, should_stop) if self._threads else self._take_each(batch, should_stop)
        return Taken(taken.items, taken.stopped or self.failure is not None)

    def _draw(self, batch: Batch) -> Iterator[tuple[int, Any]]:
        """A batch's items. If their source fails, the job does, with the items before it done."""
        items = iter(batch.items)
        while True:
            try:
                item = next(items)
            except StopIteration:
                return
            except BaseException as error:
                self.failure = error
                return
            yield item

    def _take_each(self, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        done: list[Item] = []
        for number, row in self._draw(batch):
            if should_stop() or not self._pacer.wait(self._context.stopped):
                return Taken(done, stopped=True)
            try:
                done.append(self._do(number, row))
            except ItemAbandoned:
                return Taken(done, stopped=True)
            except BaseException as error:
                self.failure = error
                return Taken(done, stopped=True)
        return Taken(done, stopped=False)

    def _take_some(self, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        """Several items under way at once. What is returned has no gap: it ends before the first that wasn't done."""
        assert self._threads is not None
        begun: list[Future[Item]] = []
        under_way: set[Future[Item]] = set()
        stopped = False
        for number, row in self._draw(batch):
            stopped = should_stop() or not self._pacer.wait(self._context.stopped)
            if stopped:
                break
            begun.append(self._threads.begin(partial(self._do, number, row)))
            under_way.add(begun[-1])
            if len(under_way) >= self._doer.concurrency:
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                if any(future.exception() for future in finished):
                    break
        wait(begun)
        done: list[Item] = []
        for future in begun:
            try:
                done.append(future.result())
            except ItemAbandoned:
                return Taken(done, stopped=True)
            except BaseException as error:
                self.failure = error
                return Taken(done, stopped=True)
        return Taken(done, stopped)

    def _do(self, number: int, row: Any) -> Item:
        """One item, with its retries. Raises ItemAbandoned if the run is asked to stop between two tries."""
        item = Item(self._context, number)

        def once() -> None:
            item.start_over()
            self._doer.process(row, item)

        try:
            call_with_retry(once, self._doer.retry, self._context.stopped, partial(item.log, level="warning"))
        except Refused as refused:
            item.start_over()
            item.error = refused.reason
        return item

    def apply(self, effects: Effects, items: Sequence[Item]) -> Sequence[RefusedLate]:
        for item in items:
            if not item.dry_run:
                item.take_effect(effects)
        return [RefusedLate(item.number, item.error) for item in items if item.error is not None]

    def close(self) -> None:
        if self._threads is not None:
            self._threads.close()


class UploadRows(ItemWork):
    """The rows of an upload, as dicts."""

    def __init__(self, doer: ItemDoer, context: JobContext) -> None:
        self._csv = OpenCsv(context)
        super().__init__(doer, context)
        self.size, self.columns, self.warnings = self._csv.size, self._csv.columns, self._csv.warnings

    def whole_batches(self) -> Iterator[Batch]:
        columns = self._csv.source.columns

        def item(number: int, fields: list[str]) -> tuple[int, dict[str, str]]:
            return number, dict(zip(columns, fields, strict=True))

        return self._csv.source.batches(item, wanted=lambda: MAX_ITEMS_PER_CHECKPOINT)

    def close(self) -> None:
        super().close()
        self._csv.close()


class SourceItems(ItemWork):
    """The items of a kind's own source."""

    def __init__(self, doer: ItemDoer, context: JobContext, opened: Callable[[JobContext, Any], Source]) -> None:
        """`opened` is `RowKind.source`."""
        super().__init__(doer, context)
        cursor = context.cursor or {"number": 1, "after": None}
        self._number: int = cursor["number"]
        self._after: Any = cursor["after"]
        source = opened(context, self._after)
        self._items = iter(source.items)
        self.size = source.size

    def whole_batches(self) -> Iterator[Batch]:
        while True:
            batch = _SourceBatch(self._items, self._number, self._after, MAX_ITEMS_PER_CHECKPOINT)
            yield batch
            if batch.exhausted:
                return
            self._number += len(batch.cursors)
            self._after = batch.cursors[-1]

    def close(self) -> None:
        super().close()
        # A generator may hold a file or a connection.
        if isinstance(self._items, Generator):
            self._items.close()


@dataclass
class _SourceBatch(Batch):
    """Up to `most` items of an iterator, drawn from it only as they are taken."""

    source: Iterator[tuple[Any, Any]]
    first: int
    before: Any
    """The cursor before the first item."""
    most: int
    cursors: list[Any] = field(default_factory=list)
    """Of each item that was drawn, the cursor after it."""
    exhausted: bool = False

    @property
    def items(self) -> Iterator[tuple[int, Any]]:  # type: ignore[override]
        for number in range(self.first, self.first + self.most):
            try:
                item, cursor = next(self.source)
            except StopIteration:
                self.exhausted = True
                return
            self.cursors.append(cursor)
            yield number, item

    def end(self, taken: int) -> End:
        number = self.first + taken
        return End({"number": number, "after": self.cursors[taken - 1] if taken else self.before}, number - 1)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


def _time_is_up() -> Callable[[int], bool]:
    """Tells whether it is time for a checkpoint, from now on."""
    begun = monotonic()
    return lambda _: monotonic() - begun >= SECONDS_PER_CHECKPOINT
