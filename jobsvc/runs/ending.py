"""Taking a job to where its run ends: done, failed, or where somebody has asked it to go.

`Checkpoints` (`checkpoints/order.py`) calls `obey` at each checkpoint of a batch, and `end_job` when no
batch is left. What becomes of a pause that meets the last row depends on when it is written;
`tests/runs/test_last_row.py` has each case:

* Before the checkpoint of the last batch: that checkpoint obeys it (`obey`). The job is `paused` with
  nothing left to do. When it is resumed, its next run finds no row, and ends the job. An empty batch
  may come after the one that has the last row (see `cut_smaller`; blank lines at the end of a file):
  then that one is the last.
* After that checkpoint, and before `Checkpoints.end`: no row is left to pause, so `end_job` passes over
  it. The job goes from `pausing` to `succeeded`; or to `failed` if all of its rows were refused, or if
  `Work.finish` raises. If the run is broken off just then (the disk or the database is in the way,
  the process ends), the job is `paused`, as one that has rows left is.
* After `Checkpoints.end`: the job has finished, and the request is refused with 409 (`NotAllowed`).

If the last row is one refused row more than `max_failed` allows, its checkpoint calls `end_job` with
`failed`, also when a pause was written before. A terminate is obeyed by `obey` and by `end_job`; after
`Checkpoints.end` it is refused with 409 too, unless it is to roll the job back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import OBEYED, RUN, SERVICE, STOPPING, UNDER_WAY, State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.runs.crashes import NO_CRASH
from jobsvc.runs.hooks import clean_up, clean_up_terminated
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import event_rows, job_rows


class AttemptLost(Exception):
    """The job has moved on without this run: a newer attempt, or nobody, has it now. It must leave no effect."""


@again_on_conflict
def fail(
    database: Database, kind: Kind | None, job: Job, error: str, now: Callable[[], datetime], said: RunLog
) -> State:
    """Note that the job as a whole failed, at its latest checkpoint, and what its run has said. Raises AttemptLost."""
    with database.write(urgent=True) as connection:
        found = current(connection, job)
        written = said.write(connection, job.key)
        state = end_job(connection, kind, found, State.FAILED, at=now(), error=error)
    said.written(written)
    return state


@again_on_conflict
def break_off(
    database: Database,
    kind: Kind | None,
    job: Job,
    error: str | None,
    now: Callable[[], datetime],
    said: RunLog,
    *,
    leaving: bool,
) -> State:
    """The run can't go on: obey whatever was asked, at the latest checkpoint. If nothing was, the job fails.

    What the run has `said` is written down.

    Without an `error` it stays as it is then. Raises AttemptLost.
    """
    with database.write(urgent=True) as connection:
        found = current(connection, job)
        written = said.write(connection, job.key)
        state = found.state
        if leaving or found.gives_way or found.state in STOPPING:
            state = obey(connection, kind, found, leaving=leaving, at=now())
        elif error is not None:
            state = end_job(connection, kind, found, State.FAILED, at=now(), error=error)
    said.written(written)
    return state


def obey(connection: Connection, kind: Kind | None, job: Job, *, leaving: bool, at: datetime, **values: Any) -> State:
    """Save `values`, and take the job where it was asked to go, if anywhere. Returns its state; raises AttemptLost."""
    after, who = OBEYED.get(job.state, job.state), RUN
    if after is State.TERMINATED:
        return end_job(connection, kind, job, after, at=at, **values)
    if after is State.RUNNING and leaving:
        after = State.INTERRUPTED
    elif after is State.RUNNING and job.gives_way:
        after, who = State.QUEUED, SERVICE
    if after is job.state:
        saved = job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
    else:
        saved = transition(connection, job, after, who=who, at=at, **{**values, **NO_CRASH}) is not None
    if not saved:
        raise AttemptLost
    return after


def current(connection: Connection, claimed: Job, *, lock: bool = True) -> Job:
    """The job as it is now, if it still is the claimed attempt's to work on. Raises AttemptLost.

    Without a `lock`, others may change it meanwhile on PostgreSQL: `locked` reads it again.
    """
    now = job_rows.state(connection, claimed.key, attempt=claimed.attempt, lock=lock)
    if now is None or now["state"] not in UNDER_WAY or now["rollback"]:
        raise AttemptLost
    return replace(claimed, state=State(now["state"]), gives_way=now["gives_way"])


def locked(connection: Connection, seen: Job) -> Job:
    """The same job that was `seen` in this transaction, as it is now; locked. Raises AttemptLost."""
    # Who writes to SQLite has it to itself: nothing has changed.
    return seen if connection.dialect.name == "sqlite" else current(connection, seen)


def end_job(connection: Connection, kind: Kind | None, job: Job, after: State, *, at: datetime, **values: Any) -> State:
    """Take a job to its end: to `after`, or to `terminated` if that was asked for. Raises AttemptLost.

    A pause that was asked for is passed over on purpose: of a job that ends, nothing is left to pause.
    """
    after = OBEYED[job.state] if job.state is State.TERMINATING else after
    if transition(connection, job, after, who=RUN, at=at, **{**values, **NO_CRASH}) is None:
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
    if last is None:
        return None
    ended = last["from"] in UNDER_WAY and last["to"] not in UNDER_WAY and last["to"] == job["state"]
    return State(job["state"]) if ended and last["who"] == RUN and job["attempt"] == claimed.attempt else None
