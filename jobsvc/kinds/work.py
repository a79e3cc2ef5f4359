"""What a kind does in one run of a job: takes items, and makes their effects at the checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from jobsvc.kinds.batch import Batch
from jobsvc.kinds.errors import ItemAbandoned

if TYPE_CHECKING:
    # Importing SQLAlchemy takes longer than all the rest; kinds without tables never need it.
    from sqlalchemy import Executable, Table
    from sqlalchemy.engine import CursorResult


class Effects(Protocol):
    """Through this a kind makes its effects in the database: they commit with the checkpoint, or not at all."""

    job_key: int

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert many rows the fastest way that the database has."""

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, in order; one that would break a unique constraint is left out."""

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        """Execute any SQLAlchemy Core statement."""


class Taken(NamedTuple):
    """What `Work.take` has done of a batch."""

    items: Sequence[Any]
    """Those that were taken, from the batch's first on without a gap."""
    stopped: bool
    """Whether it ended early: since it was told to, or since an item was abandoned or has failed (`Work.failure`)."""


class RefusedLate(NamedTuple):
    """An item that was taken, and that `Work.apply` refuses after all."""

    item: int
    """Its number; the job's items count from 1."""
    error: str
    """Why; a `Reason` says which ones are alike."""


class Work(ABC):
    """A kind opened for one run. Base class of no-op hooks."""

    columns: list[str] | None = None
    """The header to remember on the job, if the kind has one."""
    size: int = 0
    """How much there is to do, in the unit of `End.position`."""
    warnings: Sequence[str] = ()
    """What the job's owner should know of its file, seen when it was opened at the beginning."""

    reads_ahead: bool = False
    """Whether `batches` and `take` may go on with the next batch while the one before is committed, which calls
    `apply` on another thread. Not for kinds that act at once."""

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
        """Whether something is done about an item when it is taken, and not at the checkpoint alone.

        True for every `RowKind` and for `createExport`, never for `baselineCSV` and `bulkTeam`. In a fleet an
        item of such a kind that outlasts its worker's lease ends the process (`engines/fleet/lease.py`).
        """
        return cls.take is not Work.take or cls.process is not Work.process

    def take(self, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        """Take a batch's items one after the other, looking before each whether to stop. Outside every transaction."""
        process = None if type(self).process is Work.process else self.process
        if process is None and batch.is_kept and isinstance(batch.items, Sequence):
            for count in range(len(batch.items)):
                if should_stop():
                    return Taken(batch.items[:count], stopped=True)
            return Taken(batch.items, stopped=False)
        items: list[Any] = []
        add = items.append
        for item in batch.items:
            if should_stop():
                return Taken(items, stopped=True)
            if process is not None:
                try:
                    process(item)
                except ItemAbandoned:
                    return Taken(items, stopped=True)
                except BaseException as error:
                    self.failure = error
                    return Taken(items, stopped=True)
            add(item)
        return Taken(items, stopped=False)

    def process(self, item: Any) -> None:
        """Called for each item by `take`. What it does outside the database is at-least-once.

        May raise ItemAbandoned. Any other exception, `Refused` too, fails the job, once the items
        before this one are committed. An item is refused before, where it is made, or by `apply`.
        """

    def flush(self) -> None:
        """Called before each checkpoint, outside the transaction: bring files to the disk."""

    def apply(self, effects: Effects, items: Sequence[Any]) -> Sequence[tuple[int, str]]:
        """Make the effects of `items`, in the checkpoint's transaction.

        Called again with the same items if that transaction was rolled back because
        of another one; on PostgreSQL this can happen.

        Returns the items that are refused after all: a `RefusedLate` for each, or a
        plain (item number, error).
        """
        return ()

    def finish(self) -> None:
        """Called once, after the last item's checkpoint and before the job succeeds."""

    def close(self) -> None:
        """Called at the end of every run, however it ends."""
