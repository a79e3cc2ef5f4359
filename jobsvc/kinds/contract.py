"""The contract between a kind of job and the run that carries it out. Authors of kinds begin to read here.

A kind is opened once for each run. The run then takes batch after batch, looks
at its signals before every item, hands each item to `process`, and commits the
items of a batch, the cursor and the counters in one transaction:

    with kind.open(context) as work:
        for batch in work.batches():
            items, stopped = work.take(batch, should_stop)    # looks before every item
            work.flush()
            (in one transaction)
                end = batch.end(len(items))                   # with the rows that the source refused
                refused = work.apply(effects, items)          # those of `items` that are refused after all
                save end, refused and the counters
        work.finish()

What each of these is stands in a file of its own: what a source gives in `batch.py`,
what is done with it in `work.py`, what a kind gets from the service in `context.py`, the
parameters of its jobs in `params.py`, and what it may raise in `errors.py`. Other rooms
import all of it from here.

Kinds know nothing of threads, HTTP or states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Protocol

from jobsvc.kinds.batch import Batch, Cursor, End, Refusal, Rest
from jobsvc.kinds.context import (
    LOG_LEVELS,
    JobContext,
    JobInfo,
    KnownJobs,
    Log,
    OutputFile,
    Readable,
    StopSign,
)
from jobsvc.kinds.errors import BadParameter, BadUpload, ItemAbandoned, JobFailed, Reason, Refused
from jobsvc.kinds.params import KindParams, Prepared
from jobsvc.kinds.work import Effects, RefusedLate, Taken, Work

if TYPE_CHECKING:
    from sqlalchemy import MetaData

__all__ = [
    "LOG_LEVELS",
    "BadParameter",
    "BadUpload",
    "Batch",
    "Cursor",
    "Effects",
    "End",
    "ItemAbandoned",
    "JobContext",
    "JobFailed",
    "JobInfo",
    "Kind",
    "KindParams",
    "KnownJobs",
    "LeftOverRows",
    "Log",
    "OutputFile",
    "Prepared",
    "Readable",
    "Reason",
    "Refusal",
    "Refused",
    "RefusedLate",
    "Rest",
    "StopSign",
    "Taken",
    "Work",
]


class LeftOverRows(Protocol):
    """How the rows of one upload that a job has left over are given back, to be mended and uploaded again."""

    def head(self) -> bytes:
        """What the list of refused rows begins with."""

    def refused(self, refusal: Refusal) -> Iterable[bytes]:
        """A refused row and its reason, in pieces."""

    def unprocessed(self, cursor: Cursor | None) -> Iterable[bytes]:
        """The rows that the job never reached, from `cursor` on, in pieces; None: all of them."""


class Kind(ABC):
    """What a job does. One instance serves all jobs of its kind, on many threads: it has no state.

    The hooks do nothing unless they are overridden. Those called `on_…` are called
    outside every transaction. Around a crash, `on_start` and `on_resume` may be called
    again. Each of the others tells of one change of the job's state, after it was
    committed: once, or around a crash not at all.
    """

    name: ClassVar[str]
    takes_file: ClassVar[bool] = True
    """Whether its jobs start with an upload."""
    items: ClassVar[str] = "rows"
    """What its items are called, in the plural, where people read how many are done."""
    exports: ClassVar[str] = ""
    """`records` or `teams`, if it writes them to a file, and its parameter `job` names the job that has made them."""
    Params: ClassVar[type[KindParams]] = KindParams
    """The parameters of its jobs."""
    tables: ClassVar[MetaData | None] = None
    """The tables of its own; those that the database lacks are made when the service starts."""
    line_key: ClassVar[str | None] = "line"
    """The key in its cursors of the line, in the upload, on which a job goes on; for people to read."""

    @abstractmethod
    def open(self, context: JobContext) -> Work:
        """Open the job at its cursor. Raises JobFailed if it can't be worked on at all."""

    def prepare(self, params: Any, upload: Readable | None) -> Any:
        """Check the parameters beside the upload before the job is accepted.

        Returns them, completed, or `Prepared` to add warnings. Raises BadParameter, BadUpload.
        """
        return params

    def check_jobs(self, params: Any, jobs: KnownJobs) -> None:
        """Check what the prepared parameters say of other jobs, before the job is accepted. Raises BadParameter."""

    def left_over(
        self, params: Mapping[str, Any], file: BinaryIO | None, columns: Sequence[str]
    ) -> LeftOverRows | None:
        """How refused and unprocessed rows are given back. None: as CSV, read as `params` say.

        `params` are as they are stored, maybe since an earlier version; `file` is the
        upload, None if there is none; `columns` is the header that the job remembers.
        """
        return None

    def undo(self, effects: Effects, limit: int) -> int:
        """Remove up to about `limit` of a job's effects, in one short transaction; the latest first.

        Returns how many items were undone, 0 when nothing is left. Called again
        and again until then. A kind that does not override it can't be rolled back.
        """
        raise LookupError(f"{self.name} can't be rolled back")

    def clean_up(self, effects: Effects) -> None:
        """In the transaction in which a job succeeds or is terminated: let go of what only it needed."""

    def is_dry_run(self, params: Mapping[str, Any]) -> bool:
        """Whether a job with these parameters, as they are stored, makes nothing."""
        return params.get("dry_run") is True

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
