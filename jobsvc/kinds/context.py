"""What a kind gets from the service: what it may know of its job, and what it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol

from jobsvc.kinds.batch import Cursor
from jobsvc.kinds.csv.format import DEFAULT_MAX_ROW_BYTES

if TYPE_CHECKING:
    from sqlalchemy import Connection


class StopSign(Protocol):
    """Whether the run has been asked to stop; a threading.Event is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it, up to `timeout` seconds; returns whether it is set."""


class Readable(Protocol):
    """What can be opened for reading; a path is one."""

    def open(self, mode: Literal["rb"], /) -> AbstractContextManager[BinaryIO]: ...


LOG_LEVELS = ("debug", "info", "warning", "error")


class Log(Protocol):
    """The log of a job, which its owner reads at `GET /jobs/<id>/log`; to be called on any thread."""

    def __call__(self, text: str, *, level: str = "info", item: int | None = None) -> None:
        """Write a line: at one of `LOG_LEVELS`, about the item with that number if it is about one.

        An `item` that is no whole number, or has more than 64 bits, is told in the text instead.

        It is kept with the next checkpoint, or where the run ends; a process that is killed
        before loses it. Of many lines the newest are kept. Raises ValueError for another level.
        """


def nowhere(text: str, *, level: str = "info", item: int | None = None) -> None:
    """A log that keeps nothing. Implements `Log`."""


class OutputFile(Protocol):
    """The file that a job makes, while it is unfinished.

    `Work.flush` flushes it before each checkpoint, whose cursor holds `mark(offset)`:
    a later run goes on from there, and what was written after it is forgotten.
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


class KnownJobs(Protocol):
    """The jobs there are, for a kind whose parameters name some."""

    def existed(self, job_id: str) -> bool:
        """Whether there is such a job, or was one that is forgotten by now. What it made is still there."""


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
    turn: Callable[[], AbstractContextManager[object]] = field(default=nullcontext, repr=False)
    """Around what computes for some milliseconds and waits for nothing: other runs do so afterwards."""
    max_row_bytes: int = DEFAULT_MAX_ROW_BYTES
    """The longest row of an upload that is taken, in bytes."""
    log: Log = field(default=nowhere, repr=False)
    """The job's log."""
    owner: str | None = None
    """The user whose records alone it may read, since its own user sees no others; None: everybody's."""
    uploaded_at: datetime | None = None
    """When its file was uploaded, if that was for the dry run that was applied as this job."""


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
