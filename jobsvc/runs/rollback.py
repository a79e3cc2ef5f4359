"""Removing everything that a job has made, batch by batch."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from time import monotonic

from sqlalchemy import Connection, RowMapping

from jobsvc.files.contract import Files
from jobsvc.identifiers import EntryId, JobKey
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import Rollback, State
from jobsvc.kinds.contract import Kind
from jobsvc.logs.about import about
from jobsvc.logs.private import PRIVATE
from jobsvc.runs.claims import Claims
from jobsvc.runs.crashes import NO_CRASH, claimed
from jobsvc.runs.ending import AttemptLost, end_job, ended_by_run
from jobsvc.runs.hooks import CheckpointEffects, log_fields, span_fields, tell
from jobsvc.runs.recording import until_recorded
from jobsvc.runs.signals import Signals
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown, DiskFull, FilesDown
from jobsvc.store.queries import job_rows, log_rows
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.queries.log_rows import Line
from jobsvc.traces.spans import span

log = logging.getLogger(__name__)

FIRST_ITEMS, LEAST_ITEMS, MOST_ITEMS = 2000, 100, 50_000
"""How many items are undone in one transaction; other jobs go on between two of them."""

BATCH_SECONDS = 0.02
"""About how long a transaction is to take where nobody waits: a stop of another job may have to wait for it."""


FULL_PAUSE_SECONDS = 5.0
"""How long a rollback that found no room waits before the next try."""


class RollbackClaims(Claims):
    """Claims jobs whose rollback was asked for.

    A rollback begins when the run before it has left: until then an item of it may be
    under way, and what that does outside the database can't be undone. It is an
    attempt of its own, which fences off a run that was given up and wakes up.
    """

    reserve = True

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        super().__init__(database, now)
        self.under_way: Callable[[], Collection[JobKey] | None] = tuple
        """The keys of jobs whose run has not left this process; None if that can't be told yet. To be set before the
        first claim, by the part that wakes the claims when it changes. A fleet queues no rollback that has to wait."""

    def first(self, connection: Connection, due: Due) -> RowMapping | None:
        but: Collection[JobKey] = ()
        while (row := self._first_but(connection, due, but)) is not None:
            # Asked when the row has been read: whatever run its job has was begun before a rollback was wanted.
            under_way = self.under_way()
            if under_way is None or row["key"] not in under_way:
                return None if under_way is None else row
            but = under_way
        return None

    @staticmethod
    def _first_but(connection: Connection, due: Due, but: Collection[JobKey]) -> RowMapping | None:
        return job_rows.first_rollback(connection, State.TERMINATING, Rollback.WANTED, due, but)

    def next_due(self, connection: Connection, at: datetime) -> datetime | None:
        return job_rows.next_due(connection, State.TERMINATING, Rollback.WANTED, at)

    def begin(self, connection: Connection, job: Job) -> Job:
        total = job.done if job.rollback_total is None else job.rollback_total
        counted = claimed(job, self._now())
        _change(connection, job, attempt=job.attempt + 1, rollback=Rollback.RUNNING, rollback_total=total, **counted)
        text = f"the rollback begins: {job.done} items are to be undone"
        log_rows.append(connection, job.key, job.attempt + 1, [Line(self._now(), "info", text)])
        return Job.from_row(job_rows.by_key(connection, job.key))

    def is_wanted(self, job: Job) -> bool:
        return job.rollback == Rollback.WANTED

    def is_begun(self, job: Job) -> bool:
        return job.rollback == Rollback.RUNNING


class BatchSize:
    """How many items to undo in the next transaction, by how long the ones before took.

    One number, which any thread writes: each batch corrects it.
    """

    def __init__(self) -> None:
        self._items = FIRST_ITEMS

    def next(self, *, busy: bool) -> int:
        """`busy` says whether others wait for their turn to write."""
        return min(self._items, FIRST_ITEMS) if busy else self._items

    def took(self, items: int, seconds: float) -> None:
        """So many were undone. The last ones of a job, few as they may be, do not tell that more would fit."""
        fitting = round(items * BATCH_SECONDS / max(seconds, 0.001))
        if seconds > BATCH_SECONDS:
            # At most by half: it may have been the disk, this once.
            self._items = max(LEAST_ITEMS, self._items // 2, min(self._items, fitting))
        elif 2 * items >= self._items:
            self._items = min(MOST_ITEMS, 2 * self._items, max(self._items, fitting))


class Rollbacks:
    """Claims jobs whose rollback was asked for, and rolls them back. Safe to share among threads.

    Implements `engines.threads.Jobs`.
    """

    def __init__(
        self, database: Database, files: Files, kinds: Mapping[str, Kind], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._files = files
        self._kinds = kinds
        self._now = now
        self._sizes: defaultdict[str, BatchSize] = defaultdict(BatchSize)
        """By kind: what one rollback has found out serves the next."""
        self.claims = RollbackClaims(database, now)

    def claim(self) -> Job | None:
        """See `Claims`."""
        return self.claims.claim()

    def due_in(self) -> float | None:
        """See `Claims`."""
        return self.claims.due_in()

    def claim_entry(self, key: JobKey, entry: EntryId, put_back: Callable[[Connection, Job], None]) -> Job | None:
        """See `Claims`."""
        return self.claims.claim_entry(key, entry, put_back)

    def new_signals(self) -> Signals:
        return Signals()

    def run(self, job: Job, signals: Signals) -> State | None:
        """Roll a claimed job back, until nothing is left or the service shuts down; None if it was taken away."""
        with span(f"rollback {job.kind}", span_fields(job)) as told, about(**log_fields(job), **told.fields):
            state = self._run(job, signals)
            told.note({"jobsvc.job.state": state})
            return state

    def _run(self, job: Job, signals: Signals) -> State | None:
        log.info("the rollback begins: %d items are done", job.done)
        try:
            state = self._to_its_end(job, signals)
        except AttemptLost:
            state = None
        log.info("the rollback ends: %s", "it goes on later, or elsewhere" if state is None else state)
        try:
            with self._database.read() as connection:
                # Also where an answer was lost.
                state = state or ended_by_run(connection, job)
                ended = Job.from_row(job_rows.by_key(connection, job.key))
        except DatabaseDown:
            return state
        if state is not None:
            tell(self._kinds, ended, state)
        return state

    def _to_its_end(self, job: Job, signals: Signals) -> State | None:
        """What `run` returns; raises AttemptLost if the job has moved on."""
        try:
            state = None
            while state is None:
                if signals.stop.is_set():
                    self._hand_back(job)
                    return None
                state = self._undo_batch(job, signals)
            return state
        except AttemptLost:
            raise
        except DatabaseDown as error:
            log.warning("the rollback has lost the database: %s", error)
            if isinstance(error, DiskFull):
                signals.stop.wait(FULL_PAUSE_SECONDS)
            return until_recorded(lambda: self._hand_back(job), signals)
        except FilesDown as error:
            log.warning("the job could not be rolled back: %s", error)
            return self._give_up(job, str(error), signals)
        except BaseException as error:
            # Also a SystemExit, as in a run.
            given_up = self._give_up(job, f"{type(error).__name__}: {error}", signals)
            log.error("the job could not be rolled back: %s", type(error).__name__, exc_info=error, extra=PRIVATE)
            return given_up

    def _kind(self, job: Job) -> Kind:
        try:
            return self._kinds[job.kind]
        except KeyError:
            raise LookupError(f"there is no kind {job.kind!r} any more; is it missing in JOBSVC_KINDS?") from None

    def _undo_batch(self, job: Job, signals: Signals) -> State | None:
        """Undo some items; returns None as long as there may be more."""
        if self._undo_some(job):
            return None
        # No effect in the database is left, and the run that made the files has left; one that was given up
        # makes them under names of its attempt.
        try:
            self._files.remove_output(job.id, stopped=signals.stop)
        except FilesDown:
            if signals.stop.is_set():
                return None
            raise
        return self._end(job, rolled_back=True, cursor=None, position=0, error=None)

    @again_on_conflict
    def _undo_some(self, job: Job) -> int:
        """One batch; returns how many items were undone."""
        size = self._sizes[job.kind]
        limit = size.next(busy=self._database.is_busy)
        # What is removed gives room back; that much in advance, a full disk has in reserve.
        with self._database.write(reserve=True) as connection:
            begun = monotonic()
            current = self._current(connection, job)
            undone = self._kind(job).undo(CheckpointEffects(connection, job.key), limit)
            if undone:
                proved = NO_CRASH if current.crashes else {}
                _change(connection, current, **_taken_back(current, undone), **proved)
        size.took(undone, monotonic() - begun)
        return undone

    @again_on_conflict
    def _hand_back(self, job: Job) -> None:
        with self._database.write(urgent=True) as connection:
            _change(connection, self._current(connection, job), rollback=Rollback.WANTED, **NO_CRASH)

    def _give_up(self, job: Job, why: str, signals: Signals) -> State | None:
        """The job is terminated, but not rolled back; its error says why, and rollback can be asked for again."""
        return until_recorded(lambda: self._end(job, error=f"the rollback failed: {why}"), signals)

    @again_on_conflict
    def _end(self, job: Job, **values: object) -> State:
        with self._database.write(urgent=True) as connection:
            kind, current = self._kinds.get(job.kind), self._current(connection, job)
            if "rolled_back" in values:
                values |= _taken_back(current, current.done)
            return end_job(connection, kind, current, State.TERMINATED, at=self._now(), rollback=None, **values)

    def _current(self, connection: Connection, claimed: Job) -> Job:
        job = Job.from_row(job_rows.by_key(connection, claimed.key, lock=True))
        if job.attempt != claimed.attempt or job.state is not State.TERMINATING:
            raise AttemptLost
        return job


def _taken_back(job: Job, undone: int) -> dict[str, int]:
    """The counters of a job of which so many items more were undone: what it ever did stays counted."""
    taken = min(job.done, undone)
    return {"done": job.done - taken, "taken_back": job.taken_back + taken}


def _change(connection: Connection, job: Job, **values: object) -> None:
    """Raises AttemptLost if the job has moved on."""
    if not job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values):
        raise AttemptLost
