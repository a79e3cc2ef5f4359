"""Settling jobs whose run has ended without a word.

Its process has died: `recover` settles such jobs when a process with the engine `threads` starts;
in a fleet `FleetRuns.recover` does, when their worker is given up, by the same `leave_behind`.
Or the run is here, and could not write: it has lost the database, or there was no room
(`interrupt`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from jobsvc.files.contract import Files
from jobsvc.files.tidying import tidy_strays
from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import HOOKS, LEFT_BEHIND, SERVICE, Rollback, State
from jobsvc.jobs.transition import transition, transition_all
from jobsvc.kinds.contract import Kind
from jobsvc.runs import crashes
from jobsvc.runs.crashes import NO_CRASH, SUSPECT_AFTER
from jobsvc.runs.ending import AttemptLost
from jobsvc.runs.hooks import clean_up_terminated, log_fields
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows

log = logging.getLogger(__name__)

DIED = "the service had died; its run ended with it"

IDLE_TOO_LONG = "the database ended a transaction of the run that was idle for too long"


def recover(
    database: Database,
    files: Files,
    now: Callable[[], datetime],
    *,
    resume: bool,
    kinds: Mapping[str, Kind] = MappingProxyType({}),
    max_crashes: int = 5,
) -> Sequence[Job]:
    """Settle what was under way when the last process ended, before anything starts.

    A rollback goes on where it was. With `resume`, interrupted jobs are queued again,
    ahead of the jobs that were waiting (see `jobs/transition.py`). Queued and paused
    jobs stay as they are. `kinds` let go of what only a job needed that is terminated
    here. A job that has crashed `max_crashes` times in a row is failed.

    Returns the jobs whose kinds are to be told of it (see `hooks.tell`).
    """
    tidy_strays(database, files, now())
    settled = _settle_all(database, now, resume, kinds, max_crashes)
    for job in settled:
        if job.state is State.TERMINATED:
            # Not in the transaction: a store that hangs would make the database end it.
            files.discard_output(job.id)
    return [job for job in settled if job.state in HOOKS]


@again_on_conflict
def _settle_all(
    database: Database, now: Callable[[], datetime], resume: bool, kinds: Mapping[str, Kind], max_crashes: int
) -> list[Job]:
    """Returns the jobs that were under way, as they stand now."""
    settled: list[Job] = []
    # Also on a full disk the service starts, so that it can be read, and something removed.
    with database.write(urgent=True) as connection:
        _interrupt_all(connection, now(), DIED, crashes_below=min(SUSPECT_AFTER, max_crashes))
        for state in LEFT_BEHIND:
            # A rollback that is wanted has had no attempt that could have died.
            for row in job_rows.in_state(connection, state, but_rollback=Rollback.WANTED):
                job = Job.from_row(row)
                settled.append(leave_behind(connection, job, kinds.get(job.kind), now(), DIED, max_crashes))
        if resume:
            keys = job_rows.keys_in_state(connection, State.INTERRUPTED)
            _take_all(connection, keys, State.INTERRUPTED, State.QUEUED, now(), "the service started again")
    return settled


def _interrupt_all(connection: Connection, at: datetime, why: str, *, crashes_below: int) -> None:
    """What `leave_behind` does with jobs that were running, for all that are no suspects, at once.

    Each of the others is held back for a time of its own, or has failed.
    """
    keys = job_rows.keys_in_state(connection, State.RUNNING, crashes_below=crashes_below)
    _take_all(connection, keys, State.RUNNING, State.INTERRUPTED, at, why, not_before=None)
    if keys:
        log.warning("%d jobs were running when their runs ended: %s", len(keys), State.INTERRUPTED)


def _take_all(
    connection: Connection, keys: Sequence[JobKey], before: State, after: State, at: datetime, why: str, **values: Any
) -> None:
    transition_all(connection, keys, before, after, who=SERVICE, at=at, why=why, **values)


@again_on_conflict
def interrupt(
    database: Database,
    kind: Kind | None,
    job: Job,
    now: Callable[[], datetime],
    said: RunLog,
    *,
    ended: str = "the database was away; the run ended with it",
    again: str = "the database answers again",
    max_idle: int | None = None,
) -> State:
    """Settle a job whose run could not write, now that the database takes this: it is queued where it was running.

    What the run has `said` is written down. `ended` says for the job's history why the run ended,
    `again` why the job goes on. Returns the state that it was left in. Raises AttemptLost if
    it has been settled already, which the run's last transaction may have done.

    `max_idle` says that the database has ended a transaction of the run that was idle for too
    long, and how often that may happen without a new checkpoint before the job has failed.
    """
    if max_idle is not None:
        ended = IDLE_TOO_LONG
    with database.write(urgent=True) as connection:
        # Waits for the end of what the run may have left open on the server.
        current = Job.from_row(job_rows.by_key(connection, job.key, lock=True))
        if current.attempt != job.attempt or current.rollback or current.state not in LEFT_BEHIND:
            raise AttemptLost
        written = said.write(connection, job.key)
        left = leave_behind(connection, current, kind, now(), ended, max_idle)
        if left.state is State.INTERRUPTED:
            transition(connection, left, State.QUEUED, who=SERVICE, at=now(), why=again)
    said.written(written)
    return left.state


def leave_behind(
    connection: Connection, job: Job, kind: Kind | None, at: datetime, why: str, max_crashes: int | None = None
) -> Job:
    """Settle a job whose run has ended without a word: as `LEFT_BEHIND` says; a rollback is to be done again.

    Its row is locked. If its process has died with its run, `max_crashes` says how often that
    may happen before the job, or the rollback, has failed. Returns the job as it is now. The
    output of one that is terminated is the caller's to remove.
    """
    if job.rollback:
        return _leave_rollback(connection, job, kind, at, why, max_crashes)
    after = LEFT_BEHIND[job.state]
    values: Mapping[str, Any] = NO_CRASH
    if max_crashes is not None:
        values, why = crashes.left(max_crashes, job, at, why)
        if after is State.INTERRUPTED and job.crashes >= max_crashes:
            place = Place.from_row(job_rows.place(connection, job.key))
            error = crashes.idle_verdict(job) if why.startswith(IDLE_TOO_LONG) else crashes.verdict(job, kind, place)
            after, values = State.FAILED, {"error": error}
    log.warning("a job was %s when its run ended: %s", job.state, after, extra=log_fields(job))
    return _taken_to(connection, job, after, kind, at, why, **values)


def _leave_rollback(
    connection: Connection, job: Job, kind: Kind | None, at: datetime, why: str, max_crashes: int | None
) -> Job:
    """A rollback is done again, or has failed and can be asked for again."""
    if job.rollback == Rollback.WANTED:
        # It has had no attempt that could have died.
        return job
    values: Mapping[str, Any] = NO_CRASH
    if max_crashes is not None:
        values, why = crashes.left(max_crashes, job, at, why)
        if job.crashes >= max_crashes:
            error = f"the rollback failed: {crashes.rollback_verdict(job)}"
            more = {"rollback": None, "error": error, **NO_CRASH}
            return _taken_to(connection, job, State.TERMINATED, kind, at, why, **more)
    values = {"rollback": Rollback.WANTED, **values}
    job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
    return job.changed(values)


def _taken_to(
    connection: Connection, job: Job, after: State, kind: Kind | None, at: datetime, why: str, **values: Any
) -> Job:
    """The job where nobody but the service takes it, in a transaction that has locked its row."""
    taken = transition(connection, job, after, who=SERVICE, at=at, why=why, **values)
    assert taken is not None, "its row is locked"
    if after is State.TERMINATED:
        clean_up_terminated(connection, kind, job.key)
    return taken
