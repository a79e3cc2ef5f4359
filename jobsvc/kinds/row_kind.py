"""The short form of a kind: one method that does one item.

    class Greet(RowKind):
        name = "greet"

        def process(self, row, item):
            item.execute(insert(greetings).values(name=row["name"]))

What `process` hands to `item` takes effect with the checkpoint, exactly once. What
it does elsewhere happens at least once; `item.key` lets the other side notice.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from sqlalchemy import Executable, Table

from jobsvc.kinds.contract import (
    Batch,
    Effects,
    End,
    ItemAbandoned,
    JobContext,
    Kind,
    KindParams,
    Prepared,
    Refusal,
    Refused,
    Work,
)
from jobsvc.kinds.csv.params import CsvParams, UploadParams, settled
from jobsvc.kinds.csv.work import OpenCsv
from jobsvc.kinds.cutting import cut_further
from jobsvc.kinds.item_threads import ItemThreads
from jobsvc.kinds.pacing import Pacer
from jobsvc.kinds.retrying import Retry, call_with_retry

SECONDS_PER_CHECKPOINT = 1.0
"""After so long, the items that are done are committed: about how much work a crash may cost."""

MAX_ITEMS_PER_CHECKPOINT = 1000
"""Keeps what waits for a checkpoint small."""


class Item:
    """What `process` is handed beside the row: whose item it is, and where its effects go."""

    def __init__(self, context: JobContext, number: int) -> None:
        params = context.params
        self.job_id = context.id
        self.job_key = context.key
        self.read = context.read
        """Opens a connection for reading what is committed: of the items before this one, maybe not all."""
        self.dry_run: bool = getattr(params, "dry_run", False)
        """Nothing is to be made: effects handed in are dropped, and calls to the outside should not be made."""
        self.attempt = context.attempt
        """Goes up with every run of the job: the other side of a call can refuse one that comes from an earlier run."""
        self.number = number
        """Counts the job's items from 1, refused ones included."""
        self.params = params
        """An instance of the kind's `Params`."""
        self.error: str | None = None
        """Why it was refused."""
        self._effects: list[Callable[[Effects], object]] = []

    @property
    def key(self) -> str:
        """The same for this item however often it is tried; for the other side of a call to recognise it by."""
        return f"{self.job_id}:{self.number}"

    def execute(self, statement: Executable, parameters: Any = None) -> None:
        """Execute an SQLAlchemy Core statement with the checkpoint."""
        self._effects.append(lambda effects: effects.execute(statement, parameters))

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows with the checkpoint."""
        self._effects.append(lambda effects: effects.insert(table, columns, rows))

    def take_effect(self, effects: Effects) -> None:
        for effect in self._effects:
            effect(effects)

    def start_over(self) -> None:
        """Forget what was handed in: the item is tried again."""
        self._effects.clear()


@dataclass(frozen=True)
class Source:
    """Where the items of a kind without an upload come from.

    `items` yields (item, cursor behind it); `size` is how many there are, if that is known.
    """

    items: Iterable[tuple[Any, Any]]
    size: int = 0


class RowKind(Kind):
    """Base class of kinds that do one item at a time: override `process`."""

    Params: ClassVar[type[KindParams]] = CsvParams

    retry: ClassVar[Retry | None] = None
    """On which exceptions, and how often, an item is tried again."""
    rate: ClassVar[float | None] = None
    """The most items per second that one job begins; None: no limit."""
    concurrency: ClassVar[int] = 1
    """How many items of one job are under way at once; for kinds that wait for the network."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.takes_file and cls.Params is CsvParams:
            cls.Params = KindParams

    @abstractmethod
    def process(self, row: Any, item: Item) -> None:
        """Do one item: a row of the upload as a dict by column, or what `source` yielded.

        Raise Refused to refuse it; any other exception, after the retries, fails the job.
        """

    def source(self, context: JobContext, after: Any) -> Source:
        """For kinds with `takes_file = False`: the items behind the cursor `after` (None: from the first on)."""
        raise LookupError(f"{self.name} takes no file and has no source")

    def prepare(self, params: Any, upload: Any) -> Any:
        if upload is not None and isinstance(params, UploadParams):
            found = settled(params, upload)
            return Prepared(found.params, found.warnings)
        return params

    def open(self, context: JobContext) -> Work:
        return _CsvRows(self, context) if self.takes_file else _SourceItems(self, context)


class _ItemWork(Work):
    """Does items one by one, or some at once, as their kind says."""

    kind: RowKind
    context: JobContext

    def __init__(self, kind: RowKind, context: JobContext) -> None:
        self.kind = kind
        self.context = context
        self._pacer = Pacer(kind.rate)
        self._threads: ItemThreads[Item] | None = ItemThreads(kind.concurrency) if kind.concurrency > 1 else None

    @abstractmethod
    def whole_batches(self) -> Iterator[Batch]:
        """The remaining items, in batches of up to MAX_ITEMS_PER_CHECKPOINT."""

    def batches(self) -> Iterator[Batch]:
        return cut_further(self.whole_batches(), _time_is_up)

    def take(self, batch: Batch, should_stop: Callable[[], bool]) -> tuple[list[Any], bool]:
        done, stopped = self._take_some(batch, should_stop) if self._threads else self._take_each(batch, should_stop)
        return done, stopped or self.failure is not None

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

    def _take_each(self, batch: Batch, should_stop: Callable[[], bool]) -> tuple[list[Item], bool]:
        done: list[Item] = []
        for number, row in self._draw(batch):
            if should_stop() or not self._pacer.wait(self.context.stopped):
                return done, True
            try:
                done.append(self._do(number, row))
            except ItemAbandoned:
                return done, True
            except BaseException as error:
                self.failure = error
                return done, True
        return done, False

    def _take_some(self, batch: Batch, should_stop: Callable[[], bool]) -> tuple[list[Item], bool]:
        """Several items under way at once. What is returned has no gap: it ends before the first that wasn't done."""
        assert self._threads is not None
        begun: list[Future[Item]] = []
        under_way: set[Future[Item]] = set()
        stopped = False
        for number, row in self._draw(batch):
            stopped = should_stop() or not self._pacer.wait(self.context.stopped)
            if stopped:
                break
            begun.append(self._threads.begin(partial(self._do, number, row)))
            under_way.add(begun[-1])
            if len(under_way) >= self.kind.concurrency:
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                if any(future.exception() for future in finished):
                    break
        wait(begun)
        done: list[Item] = []
        for future in begun:
            try:
                done.append(future.result())
            except ItemAbandoned:
                return done, True
            except BaseException as error:
                self.failure = error
                return done, True
        return done, stopped

    def _do(self, number: int, row: Any) -> Item:
        """One item, with its retries. Raises ItemAbandoned if the run is asked to stop between two tries."""
        item = Item(self.context, number)

        def once() -> None:
            item.start_over()
            self.kind.process(row, item)

        try:
            call_with_retry(once, self.kind.retry, self.context.stopped)
        except Refused as refused:
            item.start_over()
            item.error = str(refused)
        return item

    def apply(self, effects: Effects, items: Sequence[Item]) -> Sequence[tuple[int, str]]:
        for item in items:
            if not item.dry_run:
                item.take_effect(effects)
        return [(item.number, item.error) for item in items if item.error is not None]

    def close(self) -> None:
        if self._threads is not None:
            self._threads.close()


class _CsvRows(_ItemWork):
    """The rows of an upload, as dicts."""

    def __init__(self, kind: RowKind, context: JobContext) -> None:
        self._csv = OpenCsv(context)
        super().__init__(kind, context)
        self.size, self.columns, self.warnings = self._csv.size, self._csv.columns, self._csv.warnings

    def whole_batches(self) -> Iterator[Batch]:
        columns = self._csv.source.columns

        def item(number: int, fields: list[str]) -> tuple[int, dict[str, str]]:
            return number, dict(zip(columns, fields, strict=True))

        return self._csv.source.batches(item, wanted=lambda: MAX_ITEMS_PER_CHECKPOINT)

    def close(self) -> None:
        super().close()
        self._csv.close()


class _SourceItems(_ItemWork):
    """The items of a kind's own source."""

    def __init__(self, kind: RowKind, context: JobContext) -> None:
        super().__init__(kind, context)
        cursor = context.cursor or {"number": 1, "after": None}
        self._number: int = cursor["number"]
        self._after: Any = cursor["after"]
        source = kind.source(context, self._after)
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
    """The cursors behind the items that were drawn."""
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
