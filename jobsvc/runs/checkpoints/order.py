"""The checkpoints of a run, one after the other: handed over to be committed, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Batch, Rest
from jobsvc.metrics.instruments import COMMIT_SECONDS
from jobsvc.runs.checkpoints.pending import Pending, Ready, Written
from jobsvc.runs.checkpoints.writer import CheckpointWriter
from jobsvc.runs.crashes import on_probation
from jobsvc.runs.hooks import span_fields
from jobsvc.store.again import again_on_conflict, done_again, is_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.traces.spans import span


class Checkpoints:
    """The checkpoints of one run.

    For the run's own thread. The thread that commits calls `_ended`, one checkpoint after the other: before the run's
    thread hears of it, and before the next is begun.
    """

    def __init__(
        self, database: Database, writer: CheckpointWriter, when_cleared: Callable[[], None] = lambda: None
    ) -> None:
        """`when_cleared` is called at the first checkpoint of a job that others wait for."""
        self._database = database
        self._writer = writer
        self._job = writer.job
        self._when_cleared = when_cleared
        self._pending: Pending | None = None
        self._following: Pending | None = None
        self._note_seconds = COMMIT_SECONDS.labels(kind=self._job.kind).observe

    def commit(
        self, batch: Batch, items: Sequence[Any], *, leaving: Callable[[], bool], urgent: Callable[[], bool]
    ) -> State:
        """`begin` and `settle`."""
        state = self.begin(batch, items, leaving=leaving, urgent=urgent)
        return self.settle() if state is State.RUNNING else state

    def begin(
        self, batch: Batch, items: Sequence[Any], *, leaving: Callable[[], bool], urgent: Callable[[], bool]
    ) -> State:
        """Begin to commit the items of a batch that were taken. What was begun before is to be settled.

        `leaving` says whether the process is shutting down, `urgent` whether somebody waits for this run to stop.
        Both may be asked on another thread, and must not block. Returns what `settle` does if it is committed by
        then, as it is where nothing is committed meanwhile; else `running`: more is known once it is settled.
        """
        ready = self._writer.ready(batch, items)
        self._writer.begin(ready)
        self._pending = self._begun(Pending(ready, leaving, urgent))
        return self.settle() if self._pending.is_over else State.RUNNING

    def begin_after(
        self, batch: Batch, items: Sequence[Any], *, leaving: Callable[[], bool], urgent: Callable[[], bool]
    ) -> bool:
        """The same as `begin`, once what was begun before is committed, on the thread that commits that: nobody waits
        until this thread has woken up. Settle that then, and ask whether this `goes_on`.

        Returns False where it can't be: nothing is under way, or what comes next depends on how that ends.
        """
        before = self._pending
        if before is None or not self._writer.is_proved:
            return False
        end = batch.end(len(items))
        if end.refused:
            return False
        self._following = Pending(Ready(batch, end, items, too_many=False), leaving, urgent)
        before.following = self._following
        return True

    def goes_on(self) -> bool:
        """Whether the checkpoint that was to begin after the one that was settled has begun; if not, it does not."""
        following, self._following = self._following, None
        if following is not None and following.has_begun:
            self._pending = following
        return self._pending is not None

    def settle(self) -> State:
        """Wait until what was begun is committed; returns the job's state afterwards, `running` if nothing was begun.

        Whatever was asked of the job is obeyed in the same transaction (see `ending.py`). Of a batch
        whose items have no effect before, what is left when it stops is left out, and
        the job's cursor stands before it. The state is `failed` if more rows are
        refused than the job may have.

        While others keep the database locked it is tried again; a process that is leaving does
        not wait for them. Raises AttemptLost, with nothing committed, if the job is no longer this run's.
        """
        state = State.RUNNING
        while self._pending is not None:
            pending, self._pending = self._pending, None
            written = self._settled(pending)
            state, ready = written.state, pending.ready
            if state is State.RUNNING and written.items < len(ready.items):
                left = ready.items[written.items :]
                rest = self._writer.ready(Rest(ready.batch, left, written.items), left)
                self._pending = self._begun(Pending(rest, pending.leaving, pending.urgent))
        return state

    def _settled(self, pending: Pending) -> Written:
        """What was written, and is committed."""
        tries = self._tries(pending)
        with span("checkpoint", span_fields(self._job)) as told:
            written = done_again(lambda: next(tries).result(), when=lambda error: _may_pass(error, pending.leaving))
            told.note(
                {
                    "jobsvc.items.done": written.added.done,
                    "jobsvc.items.refused": written.added.refused,
                    "jobsvc.items.blank": written.added.blank,
                    "jobsvc.job.state": written.state,
                }
            )
        return written

    def _tries(self, pending: Pending) -> Iterator[Pending]:
        """The one that was begun, and new ones for as long as they are asked for."""
        yield pending
        while True:
            yield self._begun(Pending(pending.ready, pending.leaving, pending.urgent))

    def abandon(self) -> None:
        """Wait until what was begun is committed, or failed to be: the run ends for another reason."""
        pending, self._pending = self._pending, None
        following, self._following = self._following, None
        if pending is not None:
            pending.wait()
        # By now it has begun, or does not.
        if following is not None and following.has_begun:
            following.wait()

    def _begun(self, pending: Pending) -> Pending:
        """Begin to write it; it is over by then where nothing is committed meanwhile."""
        begun = monotonic()

        def write(connection: Connection, hurry: Callable[[], bool]) -> Written:
            return self._writer.write(connection, pending.ready, pending.leaving, lambda: pending.urgent() or hurry())

        written = self._database.submit(write, pending.urgent)
        pending.has_begun = True
        written.add_done_callback(lambda done: self._ended(pending, done, begun))
        return pending

    def _ended(self, pending: Pending, done: Future[Written], begun: float) -> None:
        """It is committed, or nothing of it is. On the thread that commits, and before the run's own wakes up: two
        that want the interpreter, and each other's locks, wait for each other far longer than this takes."""
        following = pending.following
        if (error := done.exception()) is not None:
            pending.end(error)
            return
        # It is committed, whatever comes of the rest.
        written = done.result()
        try:
            self._writer.note(written)
            self._note_seconds(monotonic() - begun)
            if written.proved and on_probation(self._job):
                self._when_cleared()
            if following is not None and self._may_follow(pending, written, following):
                self._writer.begin(following.ready)
                following.context.run(self._begun, following)
        finally:
            pending.end(written)

    def _may_follow(self, pending: Pending, written: Written, following: Pending) -> bool:
        """Not if the one before was cut short or has taken the job elsewhere, or the run is to stop: then it is better
        off with fewer items."""
        is_whole = written.items == len(pending.ready.items)
        return is_whole and written.state is State.RUNNING and not following.urgent()

    @again_on_conflict
    def end(self) -> State:
        """End the job after its last batch, and return where it is now.

        It is `terminated` if that was asked for; else `failed` if there were rows and all of
        them were refused; else `succeeded`. A pause comes too late here (see `ending.py`).
        Raises AttemptLost.
        """
        state, said = self._database.submit(self._writer.end, lambda: False).result()
        self._writer.ended(said)
        return state


def _may_pass(error: BaseException, leaving: Callable[[], bool]) -> bool:
    """Whether a checkpoint that failed so may go well the next time."""
    return is_conflict(error) or (isinstance(error, DatabaseBusy) and not leaving())
