"""What a transaction has said to the threads' engine, which does it when the transaction has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobsvc.engines.live_run import Claim
from jobsvc.identifiers import JobKey, Priority


class Queued(Protocol):
    """A job, as far as it matters when it is queued."""

    @property
    def priority(self) -> Priority: ...


@dataclass(frozen=True)
class Stopped:
    """Whom a transaction has asked to stop."""

    key: JobKey
    attempt: int
    for_good: bool


class Notes:
    """What was said in a transaction, to be done after it. For the asking thread alone. Implements `Asking`."""

    def __init__(self) -> None:
        self.queued = False
        self.urgent = False
        """Whether one of the queued jobs may take the slot of another."""
        self.stopped: list[Stopped] = []

    def queue(self, connection: object, job: Queued, **_how: object) -> None:
        """There will be something to claim, in the order and at the time that the job's row says."""
        self.queued = True
        self.urgent |= job.priority is Priority.HIGH

    def stop(self, connection: object, job: Claim, *, for_good: bool) -> None:
        """The job's run is to read the row. If it has none, and goes `for_good`, no thread is kept for it."""
        self.stopped.append(Stopped(job.key, job.attempt, for_good))
