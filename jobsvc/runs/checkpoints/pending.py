"""What of a run is on its way to be committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from threading import Event
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
    """A checkpoint that is being written, or is to be written as soon as the one before it is committed.

    The run's thread begins it, or the one that commits. Until it is over it belongs to the thread that commits, but for
    `following`; from then on to that of the run.
    """

    ready: Ready
    leaving: Callable[[], bool]
    urgent: Callable[[], bool]
    context: Context = field(default_factory=copy_context)
    """That of the run's thread."""
    has_begun: bool = False
    following: Pending | None = None
    """What is to begin as soon as this is committed. The run's thread writes it, and the one that commits reads it
    once: it may be too late, and then the run's thread begins that when this is over."""
    _over: Event = field(default_factory=Event)
    _outcome: Written | BaseException | None = None

    def end(self, outcome: Written | BaseException) -> None:
        """It is committed, or nothing of it is; and what was to follow has begun, if it may."""
        self._outcome = outcome
        self._over.set()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def wait(self) -> None:
        """Wait until it is over."""
        self._over.wait()

    def result(self) -> Written:
        """Wait until it is over. Raises what it has failed with."""
        self.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome
