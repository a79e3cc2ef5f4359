"""What of a run is on its way to be committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Batch, End
from jobsvc.runs.sampling.sampler import Known
from jobsvc.runs.sampling.throughput import Told


@dataclass(frozen=True)
class Ready:
    """As much of a batch as is to be committed."""

    batch: Batch
    end: End
    items: Sequence[Any]
    too_many: bool
    """Whether it ends with the one refused row that is more than the job may have."""


@dataclass(frozen=True)
class Added:
    """By how much a checkpoint raises the job's counters."""

    done: int
    refused: int
    blank: int


@dataclass(frozen=True)
class Written:
    """What a transaction has written; it counts once that is committed."""

    state: State
    items: int
    """How many of the items that were ready are among it: fewer than all where somebody was in a hurry."""
    added: Added
    warned: int
    """How many of the work's warnings it has."""
    said: int
    """What `RunLog.written` is to be told."""
    proved: bool
    """Whether it shows that the attempt is no crash."""
    told: Told | None
    sampled: Known | None


@dataclass(eq=False)
class Pending:
    """A checkpoint that is being written."""

    ready: Ready
    leaving: Callable[[], bool]
    urgent: Callable[[], bool]
    written: Future[Written]
    begun: float
    noted: bool = False
    """Whether what it has written counts."""


@dataclass(eq=False)
class Following:
    """A checkpoint that is to begin as soon as the one before it is committed.

    The thread that commits begins it, or the run's own thread takes it back, whichever comes first.
    """

    pending: Pending
    before: Pending | None
    """The one before, until it is decided whether this begins: from then on they would hold each other for nothing."""
    context: Context = field(default_factory=copy_context)
    """That of the run's thread."""
    has_begun: bool = False

    def decide(self, *, begin: bool) -> bool:
        """Have it begin, or not, unless that is decided. Returns whether it has begun by this."""
        if self.before is None:
            return False
        self.has_begun, self.before = begin, None
        return begin
