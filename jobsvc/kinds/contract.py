"""The contract between a kind of job and the run that carries it out.

A kind is opened once for each run. The run then takes batch after batch, looks
at its signals before every item, hands each item to `process`, and commits the
items of a batch, the cursor and the counters in one transaction:

    with kind.open(context) as work:
        for batch in work.batches():
            items, stopped = work.take(batch, should_stop)    # looks before every item
            work.flush()
            (in one transaction)
                work.apply(effects, items)
                save batch.end(len(items))
        work.finish()

Kinds know nothing of threads, HTTP or states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, ClassVar, Literal, Protocol, Self, TypeAlias

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Executable, MetaData, Table
from sqlalchemy.engine import CursorResult

from jobsvc.kinds.csv.format import DEFAULT_MAX_ROW_BYTES

Cursor: TypeAlias = dict[str, Any]
"""Where the next item starts: a small JSON object, enough to go on from there in O(1)."""


class JobFailed(Exception):
    """The job as a whole can't go on; the text is shown to its owner."""


class BadParameter(Exception):
    """A parameter of a job to be is not usable, seen beside the uploaded file; `name` says which."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class BadUpload(Exception):
    """The uploaded file is not usable at all; the text says why."""


class Refused(Exception):
    """This item is refused; the text says why. The job goes on."""


class ItemAbandoned(Exception):
    """A long item noticed a stop and gave up; it has had no effect and will be done again."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An item that was refused.

    `item` counts the job's items from 1. For an item that is a row of a file,
    `line` is the line it starts on (the header is line 1) and `offset` and
    `length`, in bytes, say where it stands.
    """

    item: int
    error: str
    line: int | None = None
    offset: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class End:
    """Where a job stands after some items of a batch.

    `position` is how far it is, in the unit of `Work.size` (bytes, dates);
    `refused` are the rows up to there that the source itself refused.
    """

    cursor: Cursor
    position: int
    refused: Sequence[Refusal] = ()
    blank: int = 0
    """Lines up to there, from the batch's first on, that are no items since nothing is in them."""


class Batch(ABC):
    """Some consecutive items; what has been done of them is committed together."""

    items: Iterable[Any]

    @abstractmethod
    def end(self, taken: int) -> End:
        """Where the job stands when the first `taken` of `items` are done."""

    def taken_before(self, item: int) -> int:
        """How many of `items` come before the job's `item`-th, which the source refused."""
        raise LookupError(item)

    def end_behind(self, item: int) -> End:
        """Where the job stands right behind its `item`-th item, which the source refused."""
        raise LookupError(item)

    @abstractmethod
    def refusal(self, item: int, error: str) -> Refusal:
        """The refusal of the job's `item`-th item, with its place in the file if it has one."""


class Effects(Protocol):
    """What a kind makes database effects through: they commit with the checkpoint, or not at all."""

    job_key: int

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows the fastest way that the database has."""

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, in order; one that would break a unique constraint is left out."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Execute any SQLAlchemy Core statement."""


class StopSign(Protocol):
    """Whether the run has been asked to stop; a threading.Event is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, up to `timeout` seconds; returns whether it is set."""


class Readable(Protocol):
    """What can be opened for reading; a path is one."""

    def open(self, mode: Literal["rb"], /) -> AbstractContextManager[BinaryIO]: ...


class OutputFile(Protocol):
    """The file that a job makes, while it is unfinished.

    `Work.flush` flushes it before each checkpoint, whose cursor holds `mark(offset)`:
    from there a later run goes on, and what was written behind it is forgotten.
    """

    def write(self, data: bytes, /) -> int: ...

    def tell(self) -> int:
        """How long the file is so far, in bytes."""

    def mark(self, offset: int) -> dict[str, Any]:
        """What the cursor has to hold for the job to go on at `offset`, which was `tell()` before: a JSON object."""

    def flush(self) -> None:
        """What was written survives the process, and a power cut."""

    def finish(self) -> None:
        """It is whole: it becomes the job's result once the job succeeds."""

    def close(self) -> None:
        """Let go of it, finished or not."""


@dataclass(frozen=True)
class JobContext:
    """What a kind gets to know of the job it is opened for."""

    key: int
    id: str
    params: Any
    """An instance of the kind's `Params`."""
    created_at: datetime
    cursor: Cursor | None
    """Where to go on; None at the beginning."""
    columns: list[str] | None
    """The header that an earlier run remembered, if there is one."""
    attempt: int
    """Counts the runs of the job; an earlier one may still be about to find out that it has lost it."""
    open_input: Callable[[], BinaryIO] = field(repr=False)
    """Opens the uploaded file, for reading and seeking. Raises FileNotFoundError if it is gone."""
    open_output: Callable[[Mapping[str, Any] | None], OutputFile] = field(repr=False)
    """Opens the file to be made: empty for None, or at an earlier run's `OutputFile.mark`."""
    read: Callable[[], AbstractContextManager[Connection]] = field(repr=False)
    """Opens a connection for reading what is committed."""
    stopped: StopSign = field(repr=False)
    """For items that take long or wait; see ItemAbandoned."""
    batch_items: Callable[[], int] = field(repr=False)
    """About how many quick items the next batch should have; asked before each."""
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
    """The longest row of an upload that is taken, in bytes."""


class Work(ABC):
    """A kind opened for one run. Base class of no-op hooks."""

    columns: list[str] | None = None
    """The header to remember on the job, if the kind has one."""
    size: int = 0
    """How much there is to do, in the unit of `End.position`."""
    warnings: Sequence[str] = ()
    """What the job's owner should know of its file, seen when it was opened at the beginning."""

    failure: BaseException | None = None
    """What an item raised: the job fails with it, once the items before it are committed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def batches(self) -> Iterator[Batch]:
        """The remaining items, in batches. Called once."""

    @classmethod
    def acts_at_once(cls) -> bool:
        """Whether something is done about an item when it is taken, and not at the checkpoint alone."""
        return cls.take is not Work.take or cls.process is not Work.process

    def take(self, batch: Batch, should_stop: Callable[[], bool]) -> tuple[list[Any], bool]:
        """Take a batch's items one after the other, looking before each whether to stop.

        Outside every transaction. Returns the items that were taken, from the
        batch's first on without a gap, and whether it ended early: because of the
        `should_stop`, or of an item that was abandoned or has failed (see `failure`).
        """
        items: list[Any] = []
        add = items.append
        process = None if type(self).process is Work.process else self.process
        for item in batch.items:
            if should_stop():
                return items, True
            if process is not None:
                try:
                    process(item)
                except ItemAbandoned:
                    return items, True
                except BaseException as error:
                    self.failure = error
                    return items, True
            add(item)
        return items, False

    def process(self, item: Any) -> None:
        """Called for each item by `take`. What it does outside the database is at-least-once.

        May raise ItemAbandoned.
        """

    def flush(self) -> None:
        """Called before each checkpoint, outside the transaction: bring files to the disk."""

    def apply(self, effects: Effects, items: Sequence[Any]) -> Sequence[tuple[int, str]]:
        """Make the effects of `items`, in the checkpoint's transaction.

        Called again with the same items if that transaction was rolled back because
        of another one; on PostgreSQL this can happen.

        Returns the (item number, error) of each item that is refused after all.
        """
        return ()

    def finish(self) -> None:
        """Called once, after the last item's checkpoint and before the job succeeds."""

    def close(self) -> None:
        """Called at the end of every run, however it ends."""


class KindParams(BaseModel):
    """Base of the typed parameters of a kind: pydantic checks them, and shows them as a JSON schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    may_be_empty: ClassVar[frozenset[str]] = frozenset()
    """Parameters of which an empty text says something; for others it counts as not given."""


@dataclass(frozen=True)
class Prepared:
    """Parameters as they are stored, and what the job's owner should know beside them."""

    params: Any
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class JobInfo:
    """What a hook gets to know of its job."""

    id: str
    user: str
    params: Any
    """An instance of the kind's `Params`."""
    done: int
    failed: int
    error: str | None


class Kind(ABC):
    """What a job does. One instance serves all jobs of its kind, on many threads: it has no state.

    The hooks do nothing unless they are overridden. They are called outside
    every transaction: around a crash, `on_start` and `on_resume` may be called
    again. The others tell of what has been committed, each of one change of the
    job's state, by whoever has made it: once, or around a crash not at all.
    """

    name: ClassVar[str]
    takes_file: ClassVar[bool] = True
    """Whether its jobs start with an upload."""
    Params: ClassVar[type[KindParams]] = KindParams
    """The parameters of its jobs."""
    tables: ClassVar[MetaData | None] = None
    """The tables of its own; those that the database lacks are made when the service starts."""

    @abstractmethod
    def open(self, context: JobContext) -> Work:
        """Open the job at its cursor. Raises JobFailed if it can't be worked on at all."""

    def prepare(self, params: Any, upload: Readable | None) -> Any:
        """Check the parameters beside the upload before the job is accepted.

        Returns them, completed, or `Prepared` to add warnings. Raises BadParameter, BadUpload.
        """
        return params

    def undo(self, effects: Effects, limit: int) -> int:
        """Remove up to about `limit` of a job's effects, in one short transaction; the latest first.

        Returns how many items were undone, 0 when nothing is left. Called again
        and again until then. A kind that does not override it can't be rolled back.
        """
        raise LookupError(f"{self.name} can't be rolled back")

    def clean_up(self, effects: Effects) -> None:
        """In the transaction in which a job succeeds or is terminated: let go of what only it needed."""

    @property
    def can_undo(self) -> bool:
        return type(self).undo is not Kind.undo

    def on_start(self, job: JobInfo) -> None:
        """Before the first item. An exception fails the job."""

    def on_resume(self, job: JobInfo) -> None:
        """Before the first item of every further run. An exception fails the job."""

    def on_pause(self, job: JobInfo) -> None:
        """After a job that was running is paused."""

    def on_success(self, job: JobInfo) -> None:
        """After the job has succeeded."""

    def on_failure(self, job: JobInfo) -> None:
        """After the job as a whole has failed."""

    def on_terminate(self, job: JobInfo) -> None:
        """After the job was terminated, and rolled back if that was asked for; if that failed, `job.error` says so."""
