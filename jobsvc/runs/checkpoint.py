"""Committing what a run has done: effects, cursor, counters and state in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Batch, Kind, Refusal, Rest, Work
from jobsvc.metrics.instruments import COMMIT_SECONDS
from jobsvc.runs.commonest import Tally, counted, nothing_done, too_many
from jobsvc.runs.crashes import NO_CRASH, on_probation
from jobsvc.runs.ending import current, end_job, locked, obey
from jobsvc.runs.hooks import CheckpointEffects, span_fields
from jobsvc.runs.pending import Added, Pending, Ready, Written
from jobsvc.runs.sampling.progress import ProgressMeter
from jobsvc.runs.sampling.sampler import Sampler
from jobsvc.runs.sampling.throughput import Throughput
from jobsvc.store.again import again_on_conflict, done_again, is_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.queries import refused_rows
from jobsvc.traces.spans import span

MAX_ERROR_CHARACTERS = 500
"""How much of the reason of a refused item is kept; there may be millions of them."""

REASONS_LOOKED_AT = 1000
"""Among how many refused rows to look for the commonest reason, if no row was done."""

PART_ITEMS = 1000
"""So many items are written between two looks whether somebody is in a hurry."""


class Checkpoints:
    """The checkpoints of one run of `job`, which was claimed as `running` with its `attempt`.

    For the run's own thread. The thread that commits calls `_write` and `_ended`, one checkpoint after the other. The
    counters are written by `_ended` alone, before the run's thread hears of it and before the next is begun.
    """

    def __init__(
        self,
        database: Database,
        kind: Kind,
        job: Job,
        work: Work,
        meter: ProgressMeter,
        now: Callable[[], datetime],
        said: RunLog,
        when_cleared: Callable[[], None] = lambda: None,
        *,
        output_bytes: Callable[[], int | None],
        has_header: bool = False,
        most_refused: int | None = None,
        part_items: Callable[[], int] = lambda: PART_ITEMS,
    ) -> None:
        """What the run has `said` is committed with each.

        `when_cleared` is called at the first checkpoint of a job that others wait for.

        `output_bytes` tells how long the file is that the run makes, if it makes one.

        `has_header` says that an earlier run has saved the work's columns and size;
        `most_refused` is that of the job's parameters.

        `part_items` tells how many items to write before the next look whether somebody is in a hurry.
        """
        self._database = database
        self._when_cleared = when_cleared
        self._output_bytes = output_bytes
        self._counts = job.crashes > 0
        """Whether the attempt counts as a crash so far."""
        self._now = now
        self._said = said
        self._kind = kind
        self._job = job
        self._work = work
        self._meter = meter
        self._done = job.done
        self._refused = job.failed
        self._blank = job.blank
        self._warned = 0
        self._columns_saved = has_header
        self._max_refused = most_refused
        self._part_items = part_items
        self._throughput = Throughput(now, job.done + job.failed)
        self._sampler = Sampler(now, job.key, job.done, job.failed)
        self._pending: Pending | None = None
        self._following: Pending | None = None
        self._note_seconds = COMMIT_SECONDS.labels(kind=job.kind).observe

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
        ready = self._up_to_limit(batch, items)
        self._meter.count(len(ready.items) + len(ready.end.refused))
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
        if before is None or self._counts:
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
                rest = self._up_to_limit(Rest(ready.batch, left, written.items), left)
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
            return self._write(connection, pending.ready, pending.leaving, lambda: pending.urgent() or hurry())

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
            self._note(written, begun)
            if written.proved and on_probation(self._job):
                self._when_cleared()
            if following is not None and self._may_follow(pending, written, following):
                self._meter.count(len(following.ready.items))
                following.context.run(self._begun, following)
        finally:
            pending.end(written)

    def _may_follow(self, pending: Pending, written: Written, following: Pending) -> bool:
        """Not if the one before was cut short or has taken the job elsewhere, or the run is to stop: then it is better
        off with fewer items."""
        is_whole = written.items == len(pending.ready.items)
        return is_whole and written.state is State.RUNNING and not following.urgent()

    def _write(
        self, connection: Connection, ready: Ready, leaving: Callable[[], bool], hurry: Callable[[], bool]
    ) -> Written:
        # Not locked yet: whoever asks something of the job need not wait for the items. It is obeyed below.
        seen = current(connection, self._job, lock=False)
        count, refused_late = self._apply(CheckpointEffects(connection, seen.key), ready.items, hurry)
        job = locked(connection, seen)
        is_whole = count == len(ready.items)
        end = ready.end if is_whole else ready.batch.end(count)
        said = self._said.write(connection, job.key)
        refusals = [*end.refused, *(ready.batch.refusal(number, error) for number, error in refused_late)]
        if refusals:
            _store(connection, job, refusals)
        done = self._done + count - len(refused_late)
        refused = self._refused + len(refusals)
        blank = self._blank + end.blank
        values: dict[str, Any] = {"cursor": end.cursor, "position": end.position}
        values |= {"done": done, "failed": refused, "blank": blank}
        warned = len(self._work.warnings)
        values |= self._meter.figures(end.position) | self._new_warnings() | self._made()
        # A checkpoint without any item proves nothing: its run has broken off at its first item.
        proved = self._counts and bool(count or end.refused or end.blank)
        if proved:
            values |= NO_CRASH
        if (ready.too_many and is_whole) or (refused_late and self._over_limit(refused)):
            values["error"] = too_many(refused, self._max_refused)
            state = end_job(connection, self._kind, job, State.FAILED, at=self._now(), **self._with_header(values))
        else:
            values = self._with_header(values)
            state = obey(connection, self._kind, job, leaving=leaving(), at=self._now(), **values)
        last = state is not State.RUNNING
        told = self._throughput.add(connection, done + refused, last=last)
        sampled = self._sampler.add(connection, done, refused, last=last)
        added = Added(count - len(refused_late), len(refusals), end.blank)
        return Written(state, count, added, warned, said, proved, told, sampled)

    def _apply(
        self, effects: CheckpointEffects, items: Sequence[Any], hurry: Callable[[], bool]
    ) -> tuple[int, Sequence[tuple[int, str]]]:
        """Make the effects of the items, of all or, where somebody is in a hurry, of the first ones.

        Returns of how many, and which of these are refused after all.
        """
        if self._work.acts_at_once():
            return len(items), self._work.apply(effects, items)
        refused: list[tuple[int, str]] = []
        start = 0
        while True:
            part = items[start : start + self._part_items()]
            refused += self._work.apply(effects, part)
            start += len(part)
            if start == len(items) or hurry():
                return start, refused

    def _note(self, written: Written, begun: float) -> None:
        self._throughput.noted(written.told)
        self._sampler.noted(written.sampled)
        self._note_seconds(monotonic() - begun)
        self._done += written.added.done
        self._refused += written.added.refused
        self._blank += written.added.blank
        self._columns_saved = True
        self._warned = written.warned
        self._said.written(written.said)
        if written.proved:
            self._counts = False

    def _up_to_limit(self, batch: Batch, items: Sequence[Any]) -> Ready:
        """The batch ends right after the row that is one refused row too many, if there is one."""
        end = batch.end(len(items))
        if not end.refused or not self._over_limit(self._refused + len(end.refused)):
            return Ready(batch, end, items, too_many=False)
        last = end.refused[max(0, (self._max_refused or 0) - self._refused)]
        return Ready(batch, batch.end_after(last.item), items[: batch.taken_before(last.item)], too_many=True)

    def _over_limit(self, refused: int) -> bool:
        return self._max_refused is not None and refused > self._max_refused

    def _with_header(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._columns_saved:
            return values
        return values | self._header()

    def _header(self) -> dict[str, Any]:
        """What is remembered of the file once it was opened."""
        return {"size": self._work.size, "columns": self._work.columns}

    def _made(self) -> dict[str, Any]:
        """How much the run has stored, if it makes a file."""
        size = self._output_bytes()
        return {} if size is None else {"result_bytes": size}

    def _new_warnings(self) -> dict[str, Any]:
        """What has been noticed of the file since the last checkpoint, beside what the job says already."""
        if len(self._work.warnings) == self._warned:
            return {}
        known = self._job.warnings
        return {"warnings": [*known, *(text for text in self._work.warnings if text not in known)]}

    @again_on_conflict
    def end(self) -> State:
        """End the job after its last batch, and return where it is now.

        It is `terminated` if that was asked for; else `failed` if there were rows and all of
        them were refused; else `succeeded`. A pause comes too late here (see `ending.py`).
        Raises AttemptLost.
        """
        state, written = self._database.submit(self._end, lambda: False).result()
        self._said.written(written)
        return state

    def _end(self, connection: Connection, _hurry: Callable[[], bool]) -> tuple[State, int]:
        job = current(connection, self._job)
        written = self._said.write(connection, job.key)
        values = self._header() | self._new_warnings() | self._made()
        after = State.SUCCEEDED
        if self._refused and not self._done:
            after, values["error"] = State.FAILED, self._nothing_done(connection)
        state = end_job(connection, self._kind, job, after, at=self._now(), **values)
        self._throughput.add(connection, self._done + self._refused, last=True)
        self._sampler.add(connection, self._done, self._refused, last=True)
        return state, written

    def _nothing_done(self, connection: Connection) -> str:
        rows = refused_rows.of_job(connection, self._job.key, 0, REASONS_LOOKED_AT)
        return nothing_done(self._refused, [row["error"] for row in rows])


def _may_pass(error: BaseException, leaving: Callable[[], bool]) -> bool:
    """Whether a checkpoint that failed so may go well the next time."""
    return is_conflict(error) or (isinstance(error, DatabaseBusy) and not leaving())


def _store(connection: Connection, job: Job, refusals: Sequence[Refusal]) -> None:
    """Refused items, and how many there are of each sort now: nobody else counts, since the job's row is locked."""
    refused_rows.add(connection, job.key, [_row(refusal) for refusal in refusals])
    known = map(Tally.from_row, refused_rows.counts(connection, job.key))
    changed = counted(known, ((refusal.item, refusal.error) for refusal in refusals))
    refused_rows.set_counts(connection, job.key, [tally.as_row() for tally in changed])


def _row(refusal: Refusal) -> dict[str, Any]:
    """A refused item as it is stored: with the beginning of its reason."""
    error = refusal.error[:MAX_ERROR_CHARACTERS]
    place = {"line": refusal.line, "offset": refusal.offset, "length": refusal.length}
    return {"item": refusal.item, "error": error, **place}
