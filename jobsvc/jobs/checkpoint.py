"""Committing what a run has done: effects, cursor, counters and state in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.engine import CursorResult

from jobsvc.jobs.job import Job
from jobsvc.jobs.meter import Meter
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Block, Work
from jobsvc.store import job_rows
from jobsvc.store.bulk_insert import bulk_insert
from jobsvc.store.database import Database

RUN = "run"
"""Who, in a job's history, when its own run changed its state."""

_OBEYED = {State.PAUSING: State.PAUSED, State.TERMINATING: State.TERMINATED}
"""What a run turns a request into once it has committed what it had done."""


class AttemptLost(Exception):
    """The job has moved on without this run: a newer attempt, or nobody, has it now. It must leave no effect."""


class CheckpointEffects:
    """The effects of one checkpoint's items, on its connection. Implements `kinds.contract.Effects`."""

    def __init__(self, connection: Connection, job_key: int) -> None:
        self._connection = connection
        self.job_key = job_key

    def insert(self, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        bulk_insert(self._connection, table, columns, rows)

    def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return self._connection.execute(statement, parameters)


class Checkpoints:
    """The checkpoints of one run of `job`, which was claimed as `running` with its `attempt`."""

    def __init__(self, database: Database, job: Job, work: Work, meter: Meter, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._job = job
        self._work = work
        self._meter = meter
        self._done = job.done
        self._failed = job.failed
        self._columns_saved = job.columns is not None

    def commit(self, block: Block, items: Sequence[Any], *, leaving: bool) -> State:
        """Commit the items of a block that were taken.

        Whatever was asked of the job is obeyed in the same transaction: the
        state that it has afterwards is returned. `leaving` says that the process
        is shutting down. Raises AttemptLost, with nothing committed, if the job
        is no longer this run's.
        """
        end = block.end(len(items))
        with self._database.write(urgent=leaving) as connection:
            job = _current(connection, self._job)
            refused_late = self._work.apply(CheckpointEffects(connection, job.key), items)
            refusals = [*end.refused, *(block.refusal(number, error) for number, error in refused_late)]
            if refusals:
                job_rows.add_refused(connection, job.key, [asdict(refusal) for refusal in refusals])
            done = self._done + len(items) - len(refused_late)
            failed = self._failed + len(refusals)
            self._meter.count(len(items) + len(end.refused))
            values = {"cursor": end.cursor, "position": end.position, "done": done, "failed": failed}
            values |= self._meter.figures(end.position)
            state = self._save(connection, job, values, leaving)
        self._done, self._failed, self._columns_saved = done, failed, True
        return state

    def _save(self, connection: Connection, job: Job, values: dict[str, Any], leaving: bool) -> State:
        if not self._columns_saved:
            values |= {"columns": self._work.columns, "size": self._work.size}
        after = State.INTERRUPTED if leaving and job.state is State.RUNNING else _OBEYED.get(job.state, job.state)
        if after is job.state:
            saved = job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
        else:
            saved = transition(connection, job, after, who=RUN, at=self._now(), **values)
        if not saved:
            raise AttemptLost
        return after

    def succeed(self) -> State:
        """Every item is behind the job: note that it succeeded, unless it is to be terminated."""
        with self._database.write(urgent=True) as connection:
            job = _current(connection, self._job)
            values: dict[str, Any] = {"size": self._work.size, "columns": self._work.columns}
            return _end(connection, job, State.SUCCEEDED, at=self._now(), **values)


def fail(database: Database, job: Job, error: str, now: Callable[[], datetime]) -> State:
    """Note that the job as a whole failed, at its latest checkpoint. Raises AttemptLost like `commit`."""
    with database.write(urgent=True) as connection:
        return _end(connection, _current(connection, job), State.FAILED, at=now(), error=error)


def _current(connection: Connection, claimed: Job) -> Job:
    """The job as it is now, if it still is the claimed attempt's to work on."""
    state = job_rows.state(connection, claimed.key, attempt=claimed.attempt)
    if state not in (State.RUNNING, State.PAUSING, State.TERMINATING):
        raise AttemptLost
    return replace(claimed, state=State(state))


def _end(connection: Connection, job: Job, after: State, *, at: datetime, **values: Any) -> State:
    after = _OBEYED[job.state] if job.state is State.TERMINATING else after
    if not transition(connection, job, after, who=RUN, at=at, **values):
        raise AttemptLost
    return after
