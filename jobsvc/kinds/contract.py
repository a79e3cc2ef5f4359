"""The contract between a kind of job and the run that carries it out.

A kind is opened once for each run. The run then takes block after block, looks
at its signals before every item, hands each item to `process`, and commits the
items of a block, the cursor and the counters in one transaction:

    with kind.open(context) as work:
        for block in work.blocks():
            for item in block.items:
                (stop here if asked to)
                work.process(item)
            (in one transaction)
                work.apply(effects, items)
                save block.end(len(items))
        work.finish()

Kinds know nothing of threads, HTTP or states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self, TypeAlias

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.engine import CursorResult

Cursor: TypeAlias = dict[str, Any]
"""Where the next item starts: a small JSON object, enough to go on from there in O(1)."""


class JobFailed(Exception):
    """The job as a whole can't go on; the text is shown to its owner."""


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
    """Where a job stands after some items of a block.

    `position` is how far it is, in the unit of `Work.size` (bytes, dates);
    `refused` are the rows up to there that the source itself refused.
    """

    cursor: Cursor
    position: int
    refused: Sequence[Refusal] = ()


class Block(ABC):
    """Some consecutive items; what has been done of them is committed together."""

    items: Iterable[Any]

    @abstractmethod
    def end(self, taken: int) -> End:
        """Where the job stands when the first `taken` of `items` are done."""

    @abstractmethod
    def refusal(self, item: int, error: str) -> Refusal:
        """The refusal of the job's `item`-th item, with its place in the file if it has one."""


class Effects(Protocol):
    """What a kind makes database effects through: they commit with the checkpoint, or not at all."""

    job_key: int

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows the fastest way that the database has."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Execute any SQLAlchemy Core statement."""


@dataclass(frozen=True)
class JobContext:
    """What a kind gets to know of the job it is opened for."""

    key: int
    id: str
    params: Mapping[str, Any]
    created_at: datetime
    cursor: Cursor | None
    """Where to go on; None at the beginning."""
    columns: list[str] | None
    """The header that an earlier run remembered, if there is one."""
    input: Path
    """The uploaded file. Kinds without an upload leave it alone."""
    output: Path
    """Where the finished result goes."""
    partial_output: Path
    """Where the result is written while it is unfinished."""
    read: Callable[[], AbstractContextManager[Connection]] = field(repr=False)
    """Opens a connection for reading what is committed."""
    look: Callable[[], bool] = field(repr=False)
    """Whether the run has been asked to stop. For items that take long; see ItemAbandoned."""


class Work(ABC):
    """A kind opened for one run. Base class of no-op hooks."""

    columns: list[str] | None = None
    """The header to remember on the job, if the kind has one."""
    size: int = 0
    """How much there is to do, in the unit of `End.position`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def blocks(self) -> Iterator[Block]:
        """The remaining items, in blocks. Called once."""

    process: Callable[[Any], None] | None = None
    """Called for each item, outside every transaction, right after the look.

    None for kinds that do all their work in `apply`. May raise Refused or
    ItemAbandoned. What it does outside the database is at-least-once.
    """

    def flush(self) -> None:
        """Called before each checkpoint, outside the transaction: bring files to the disk."""

    def apply(self, effects: Effects, items: Sequence[Any]) -> Sequence[tuple[int, str]]:
        """Make the effects of `items`, in the checkpoint's transaction.

        Returns the (item number, error) of each item that is refused after all.
        """
        return ()

    def finish(self) -> None:
        """Called once, after the last item's checkpoint and before the job succeeds."""

    def close(self) -> None:
        """Called at the end of every run, however it ends."""


class Kind(ABC):
    """What a job does. One instance serves all jobs of its kind; it has no state."""

    name: ClassVar[str]
    takes_file: ClassVar[bool]
    """Whether its jobs start with an upload."""

    @abstractmethod
    def open(self, context: JobContext) -> Work:
        """Open the job at its cursor. Raises JobFailed if it can't be worked on at all."""
