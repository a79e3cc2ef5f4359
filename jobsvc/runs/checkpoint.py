"""Committing what a run has done: effects, cursor, counters and state in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import OperationalError

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import RUN, UNDER_WAY, State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Batch, End, Kind, Refusal, Work
from jobsvc.runs.commonest import commonest
from jobsvc.runs.crashes import NO_CRASH, on_probation
from jobsvc.runs.hooks import contained
from jobsvc.runs.progress import ProgressMeter
from jobsvc.store.again import again_on_conflict, done_again, is_conflict
from jobsvc.store.bulk_insert import bulk_insert
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.insert_new import insert_new
from jobsvc.store.queries import event_rows, job_rows, refused_rows

log = logging.getLogger(__name__)

_OBEYED = {State.PAUSING: State.PAUSED, State.TERMINATING: State.TERMINATED}
"""What a run turns a request into once it has committed what it had done."""


MAX_ERROR_CHARACTERS = 500
"""How much of why an item was refused is kept; there may be millions of them."""

REASONS_LOOKED_AT = 1000
"""Of how many refused rows the commonest reason is found, where no row was done."""


class AttemptLost(Exception):
    """The job has moved on without this run: a newer attempt, or nobody, has it now. It must leave no effect."""


class CheckpointEffects:
    """The effects of one checkpoint's items, on its connection. Implements `kinds.contract.Effects`."""

    def __init__(self, connection: Connection, job_key: int) -> None:
        self._connection = connection
        self.job_key = job_key

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        bulk_insert(self._connection, table, columns, rows)

    def insert_new(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        insert_new(self._connection, table, rows)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)


class Checkpoints:
    """The checkpoints of one run of `job`, which was claimed as `running` with its `attempt`."""

    def __init__(
        self,
        database: Database,
        kind: Kind,
        job: Job,
        work: Work,
        meter: ProgressMeter,
        now: Callable[[], datetime],
        when_cleared: Callable[[], None] = lambda: None,
        *,
        has_header: bool = False,
        most_refused: int | None = None,
    ) -> None:
        """`when_cleared` is called at the first checkpoint of a job that others wait for.

        `has_header` says that an earlier run has saved the work's columns and size;
        `most_refused` is that of the job's parameters.
        """
        self._database = database
        self._when_cleared = when_cleared
        self._counts = job.crashes > 0
        """Whether the attempt counts as a crash so far."""
        self._now = now
        self._kind = kind
        self._job = job
        self._work = work
        self._meter = meter
        self._done = job.done
        self._failed = job.failed
        self._blank = job.blank
        self._warned = 0
        self._columns_saved = has_header
        self._max_failed = most_refused

    def commit(
        self, batch: Batch, items: Sequence[Any], *, leaving: Callable[[], bool], urgent: Callable[[], bool]
    ) -> State:
        """Commit the items of a batch that were taken.

        Whatever was asked of the job is obeyed in the same transaction: the
        state that it has afterwards is returned. `leaving` says whether the process
        is shutting down, `urgent` whether somebody waits for this run to stop.
        While others keep the database locked it is tried again, and no further item
        begins; a process that is leaving does not wait for them. Raises
        AttemptLost, with nothing committed, if the job is no longer this run's.
        """
        end, items, too_many = self._up_to_limit(batch, items)
        self._meter.count(len(items) + len(end.refused))
        return done_again(
            lambda: self._commit(batch, end, items, too_many, leaving, urgent),
            when=lambda error: _may_pass(error, leaving),
        )

    def _commit(
        self,
        batch: Batch,
        end: End,
        items: Sequence[Any],
        too_many: bool,
        leaving: Callable[[], bool],
        urgent: Callable[[], bool],
    ) -> State:
        with self._database.write(urgent_when=urgent) as connection:
            job = _current(connection, self._job)
            refused_late = self._work.apply(CheckpointEffects(connection, job.key), items)
            refusals = [*end.refused, *(batch.refusal(number, error) for number, error in refused_late)]
            if refusals:
                refused_rows.add(connection, job.key, [_row(refusal) for refusal in refusals])
            done = self._done + len(items) - len(refused_late)
            failed = self._failed + len(refusals)
            blank = self._blank + end.blank
            values: dict[str, Any] = {"cursor": end.cursor, "position": end.position}
            values |= {"done": done, "failed": failed, "blank": blank}
            values |= self._meter.figures(end.position) | self._new_warnings()
            # One that has got nowhere proves nothing: its run has broken off at its first item.
            proved = self._counts and bool(items or end.refused or end.blank)
            if proved:
                values |= NO_CRASH
            if too_many or (refused_late and self._over_limit(failed)):
                values["error"] = f"{failed} rows were refused, more than max_failed={self._max_failed}"
                state = end_job(connection, self._kind, job, State.FAILED, at=self._now(), **self._with_header(values))
            else:
                values = self._with_header(values)
                state = _obey(connection, self._kind, job, leaving=leaving(), at=self._now(), **values)
        self._done, self._failed, self._blank, self._columns_saved = done, failed, blank, True
        self._warned = len(self._work.warnings)
        if proved:
            self._counts = False
            if on_probation(self._job):
                self._when_cleared()
        return state

    def _up_to_limit(self, batch: Batch, items: Sequence[Any]) -> tuple[End, Sequence[Any], bool]:
        """Where the batch ends: right behind the row that is one refused row too many, if there is one."""
        end = batch.end(len(items))
        if not end.refused or not self._over_limit(self._failed + len(end.refused)):
            return end, items, False
        last = end.refused[max(0, (self._max_failed or 0) - self._failed)]
        return batch.end_after(last.item), items[: batch.taken_before(last.item)], True

    def _over_limit(self, failed: int) -> bool:
        return self._max_failed is not None and failed > self._max_failed

    def _with_header(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._columns_saved:
            return values
        return values | self._header()

    def _header(self) -> dict[str, Any]:
        """What is remembered of the file once it was opened."""
        return {"size": self._work.size, "columns": self._work.columns}

    def _new_warnings(self) -> dict[str, Any]:
        """What has been noticed of the file since the last checkpoint, beside what the job says already."""
        if len(self._work.warnings) == self._warned:
            return {}
        known = self._job.warnings
        return {"warnings": [*known, *(text for text in self._work.warnings if text not in known)]}

    @again_on_conflict
    def succeed(self) -> State:
        """Every item is behind the job: note that it succeeded, unless it is to be terminated."""
        with self._database.write(urgent=True) as connection:
            job = _current(connection, self._job)
            values = self._header() | self._new_warnings()
            if self._failed and not self._done:
                values["error"] = self._nothing_done(connection)
                return end_job(connection, self._kind, job, State.FAILED, at=self._now(), **values)
            return end_job(connection, self._kind, job, State.SUCCEEDED, at=self._now(), **values)

    def _nothing_done(self, connection: Connection) -> str:
        rows = refused_rows.of_job(connection, self._job.key, 0, REASONS_LOOKED_AT)
        what = "the only row was refused" if self._failed == 1 else f"all {self._failed} rows were refused"
        return f"{what}, most often since {commonest([row['error'] for row in rows])}"


def _may_pass(error: BaseException, leaving: Callable[[], bool]) -> bool:
    """Whether a checkpoint that failed so may go well the next time."""
    return is_conflict(error) or (isinstance(error, DatabaseBusy) and not leaving())


@again_on_conflict
def fail(database: Database, kind: Kind | None, job: Job, error: str, now: Callable[[], datetime]) -> State:
    """Note that the job as a whole failed, at its latest checkpoint. Raises AttemptLost like `commit`."""
    with database.write(urgent=True) as connection:
        return end_job(connection, kind, _current(connection, job), State.FAILED, at=now(), error=error)


@again_on_conflict
def break_off(
    database: Database, kind: Kind | None, job: Job, error: str | None, now: Callable[[], datetime], *, leaving: bool
) -> State:
    """The run can't go on: obey whatever was asked, at the latest checkpoint. If nothing was, the job fails.

    Without an `error` it stays as it is then. Raises AttemptLost like `commit`.
    """
    with database.write(urgent=True) as connection:
        current = _current(connection, job)
        if leaving or current.state in _OBEYED:
            return _obey(connection, kind, current, leaving=leaving, at=now())
        if error is None:
            return current.state
        return end_job(connection, kind, current, State.FAILED, at=now(), error=error)


def _obey(connection: Connection, kind: Kind | None, job: Job, *, leaving: bool, at: datetime, **values: Any) -> State:
    """Save `values`, and take the job where it was asked to go, if anywhere. Returns its state; raises AttemptLost."""
    after = State.INTERRUPTED if leaving and job.state is State.RUNNING else _OBEYED.get(job.state, job.state)
    if after is job.state:
        saved = job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
    elif after is State.TERMINATED:
        return end_job(connection, kind, job, after, at=at, **values)
    else:
        saved = transition(connection, job, after, who=RUN, at=at, **{**values, **NO_CRASH})
    if not saved:
        raise AttemptLost
    return after


def _current(connection: Connection, claimed: Job) -> Job:
    """The job as it is now, if it still is the claimed attempt's to work on."""
    now = job_rows.state(connection, claimed.key, attempt=claimed.attempt)
    if now is None or now["state"] not in UNDER_WAY or now["rollback"]:
        raise AttemptLost
    return replace(claimed, state=State(now["state"]))


def end_job(connection: Connection, kind: Kind | None, job: Job, after: State, *, at: datetime, **values: Any) -> State:
    """Take a job to its end: to `after`, or to `terminated` if that was asked for. Raises AttemptLost."""
    after = _OBEYED[job.state] if job.state is State.TERMINATING else after
    if not transition(connection, job, after, who=RUN, at=at, **{**values, **NO_CRASH}):
        raise AttemptLost
    if after is State.SUCCEEDED:
        clean_up(connection, kind, job.key)
    elif after is State.TERMINATED:
        clean_up_terminated(connection, kind, job.key)
    return after


def ended_by_run(connection: Connection, claimed: Job) -> State | None:
    """Where the run or rollback of this attempt has taken its job, if that was the last that happened to it.

    For one that has not heard whether its last transaction was committed.
    """
    job, last = job_rows.by_key(connection, claimed.key), event_rows.last(connection, claimed.key)
    ended = last["from"] in UNDER_WAY and last["to"] not in UNDER_WAY and last["to"] == job["state"]
    return State(job["state"]) if ended and last["who"] == RUN and job["attempt"] == claimed.attempt else None


def _row(refusal: Refusal) -> dict[str, Any]:
    return asdict(refusal) | {"error": refusal.error[:MAX_ERROR_CHARACTERS]}


def clean_up(connection: Connection, kind: Kind | None, job_key: int) -> None:
    """Have the kind let go of what only a job needed that has succeeded. If it can't, the job has not."""
    if kind is not None:
        with contained(kind):
            kind.clean_up(CheckpointEffects(connection, job_key))


def clean_up_terminated(connection: Connection, kind: Kind | None, job_key: int) -> None:
    """The same for a job that is terminated: it is, whatever the kind says to that. Its exceptions are logged."""
    try:
        with connection.begin_nested():
            clean_up(connection, kind, job_key)
    except OperationalError:
        # The database, and with it the transaction.
        raise
    except Exception:
        log.exception("job %d is terminated, but what only it needed may still be there", job_key)
