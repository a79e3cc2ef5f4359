"""Uploaded and produced files: what every store of them can do. `open_files` chooses the store.

Names come from job ids alone, never from what a client called its file. A job has
one input, and what it makes: the parts of its unfinished output, and its result
(see `output_parts`).
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

from jobsvc.files.strays import Tidied
from jobsvc.store.errors import FilesDown

log = logging.getLogger(__name__)

IDENTITY = "jobsvc-identity"
"""The name of the file that says whose files these are."""

READ_AHEAD_BYTES = 4 * 1024 * 1024
"""How much to ask a remote store for at a time, to read a file from front to back."""


class StopSign(Protocol):
    """Whether somebody wants the caller to stop; a threading.Event is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool: ...


class NewInput(Protocol):
    """An input that is being received. One of `commit` and `abort` ends it."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Write some of `data`; returns how many bytes."""

    def tell(self) -> int:
        """How many bytes were written."""

    def commit(self) -> None:
        """It is whole: when this returns, it and its name survive a power cut."""

    def abort(self) -> None:
        """Leave nothing of it. Does nothing after `commit`."""


class Output(Protocol):
    """The file that a run makes. `kinds.contract.OutputFile` tells what a kind may expect of it."""

    def write(self, data: bytes, /) -> int: ...

    def tell(self) -> int: ...

    def mark(self, offset: int) -> dict[str, Any]: ...

    def flush(self) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


class Readable(Protocol):
    """What can be opened for reading, as a path can."""

    def open(self, mode: Literal["rb"], /) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True)
class Result:
    """What a job has made."""

    name: str
    size: int
    """In bytes."""
    modified: datetime
    path: Path | None
    """Where it is, if it is on this machine's disk or on one that is mounted."""


class Files(ABC):
    """The files of all jobs. Safe to share among threads.

    Files whose names are not of our own making are ignored.

    Every method but `discard_output` may raise FilesDown. A method with `stopped` is for runs, which have
    time: it tries again for a while, until the sign is set. Without it there is one
    try, for a client that waits.
    """

    @abstractmethod
    def create_input(self, job_id: str) -> NewInput:
        """Begin a new job's input. Raises FileExistsError if there is one."""

    @abstractmethod
    def open_input(self, job_id: str, *, ahead: int = READ_AHEAD_BYTES, stopped: StopSign | None = None) -> BinaryIO:
        """A job's input, for reading and seeking. Raises FileNotFoundError.

        `ahead` is a hint: how many bytes to ask for at a time.
        """

    @abstractmethod
    def mark_of_input(self, job_id: str) -> str | None:
        """A short text that is another one once somebody has written to a job's input; None if there is none.

        It may be another one, too, where the file was restored or moved.
        """

    @abstractmethod
    def uploaded(self, job_id: str) -> Readable:
        """A job's input, to be opened later."""

    @abstractmethod
    def open_output(
        self, job_id: str, attempt: int, mark: Mapping[str, Any] | None, *, stopped: StopSign | None = None
    ) -> Output:
        """The output of a job, to go on at `mark` (None: from the beginning), as the run `attempt` writes it.

        Whatever runs of other attempts still write has no effect on it. Raises OutputLost.
        """

    @abstractmethod
    def tidy_output(self, job_id: str, attempt: int) -> None:
        """Remove what a job has made but for the result of `attempt`: the job has succeeded with that."""

    @abstractmethod
    def result(self, job_id: str, attempt: int) -> Result | None:
        """The result of a job that has succeeded with `attempt`; None if it made none."""

    @abstractmethod
    def open_result(self, result: Result) -> BinaryIO:
        """For reading and seeking."""

    @abstractmethod
    def remove_input(self, job_id: str) -> None: ...

    @abstractmethod
    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        """Remove whatever a job has made, finished or not."""

    def discard_output(self, job_id: str) -> None:
        """Remove what a job has made that has been terminated. What a store keeps that is down goes with the job."""
        try:
            self.remove_output(job_id)
        except (FilesDown, OSError) as error:
            log.warning("what a job has made stays until the job is forgotten: %s", error, extra={"job": job_id})

    def remove(self, job_id: str) -> None:
        """Remove whatever there is of a job's files."""
        self.remove_input(job_id)
        self.remove_output(job_id)

    @abstractmethod
    def any_of(self, job_id: str) -> bool:
        """Whether there is any of a job's files."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for people to read."""

    @abstractmethod
    def identity(self) -> str | None:
        """The identity that says whose files these are; None if there is none."""

    @abstractmethod
    def identify(self, identity: str, *, instead: bool = False) -> None:
        """Say whose files these are. If something says so already, that stays, unless it is to be replaced
        (`instead`)."""

    @abstractmethod
    def job_ids(self) -> set[str]:
        """The ids of the jobs that it has files of, as names tell; not what was moved aside."""

    @abstractmethod
    def tidy_strays(
        self, known: Collection[str], forgotten: Collection[str], at: datetime, *, older_than: timedelta | None = None
    ) -> Tidied:
        """Move files aside, at the time `at`, whose jobs are not `known`, and remove what was moved a week ago.

        Files of jobs that were `forgotten` are removed at once: a process died before
        it had done so. What was moved aside and is of a job that is known comes back.
        While somebody may be uploading, only what was last changed `older_than` ago is
        a stray: a new file comes before its job. Without it, to be called only while
        nobody uploads. A file that can't be moved or removed stays.
        """
