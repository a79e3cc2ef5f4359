"""What jobs ask of the engines that run them.

There are two engines: threads of this process, and the queue of a fleet. A job is
stopped the same way by both; `service/steering.py` asks, in this order:

1. `with engine.asking(job)` begins, before the transaction.
   Threads: a run that is here takes no further item. If it leaves items of its batch for later, it waits
   for step 4 before it commits the others. If it has taken the last item of its batch already, it commits
   the batch without waiting; it waits at the next item, if there is one.
   Fleet: nothing is said yet; the run goes on.
2. The transaction changes the job's row, and calls `asking.stop`.
   Threads: the engine notes whom to tell in step 4.
   Fleet: the job's entry is taken out of the queue; if a worker has it, the worker is to abort it.
3. The transaction ends: it is committed, or rolled back, or its answer is lost.
   Fleet: the queue has changed if and only if the row has. PostgreSQL tells the worker.
4. The block ends, whatever came of step 3.
   Threads: the run is told, also one that has begun since step 1. The thread of a paused job ends, `for_good`.
5. The run commits the items that it has done, reads the row and obeys, all in one transaction.
   If nothing was asked after all, it goes on. A pause can be written too late for this, when no batch
   is left: `runs/ending.py` says what becomes of a pause that meets the last row.
6. `service/settling.py` waits for step 5. `engine.signal` says whether there is a run that will obey: if not,
   the service obeys in its place.

A job is queued the same way: `asking.queue` puts it into the fleet's queue in step 2; the threads' slots
are given out in step 4, also where the answer was lost: the job may be there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job


class Queue(Protocol):
    """What may be said in a transaction that queues jobs."""

    def queue(self, connection: Connection, job: Job, *, ahead: bool = False, after: float = 0.0) -> None:
        """Have the job run, after so many seconds; `ahead` of those that have not begun yet."""


class Asking(Queue, Protocol):
    """What may be said in a transaction that queues jobs, or stops them."""

    def stop(self, connection: Connection, job: Job, *, for_good: bool) -> None:
        """Have the job's run, if it has one, read the row. `job` is as it was; `for_good`: it won't be resumed."""


class Run(Protocol):
    """What an engine knows a run by."""

    @property
    def key(self) -> JobKey: ...
    @property
    def attempt(self) -> int: ...


class Engine(Protocol):
    """Where runs happen."""

    tells_ahead: bool
    """Whether `asking` has the run take no item before anything is written, and needs to know which one it is."""

    def asking(self, running: Run | None = None) -> AbstractContextManager[Asking]:
        """Around a transaction, and around all its tries. `running`: the run that is to take no item meanwhile."""

    def signal(self, key: JobKey, attempt: int) -> bool:
        """Make a run read its job's row. Returns False if that attempt has no run, which is known here for certain."""


class RollbackQueue(Queue, Protocol):
    """What may be said in a transaction that asks for rollbacks."""

    def queue(
        self, connection: Connection, job: Job, *, ahead: bool = False, after: float = 0.0, when_left: bool = False
    ) -> None:
        """Have the job rolled back, after so many seconds; `when_left`: it may have a run, which has to leave first."""


class RollbackEngine(Protocol):
    """Where rollbacks happen."""

    def asking(self) -> AbstractContextManager[RollbackQueue]:
        """Around a transaction that asks for rollbacks, and around all its tries."""
