"""What a start makes of the jobs that the last process left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from jobsvc.jobs.checkpoint import clean_up
from jobsvc.jobs.job import Job
from jobsvc.jobs.rollback import Rollback
from jobsvc.jobs.service import SERVICE
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.store import job_rows
from jobsvc.store.database import Database
from jobsvc.store.files import Files

log = logging.getLogger(__name__)

_LEFT_BEHIND = {
    State.RUNNING: State.INTERRUPTED,
    State.PAUSING: State.PAUSED,
    State.TERMINATING: State.TERMINATED,
}
"""Where a job goes whose run died with its process."""


def recover(
    database: Database,
    files: Files,
    now: Callable[[], datetime],
    *,
    resume: bool,
    kinds: Mapping[str, Kind] = MappingProxyType({}),
) -> None:
    """Settle what was under way when the last process ended, before anything starts.

    A rollback goes on where it was. With `resume`, interrupted jobs are queued
    again, ahead of the jobs that were waiting: they keep the time at which they
    were first queued. Queued and paused jobs stay as they are. `kinds` let go of
    what only a job needed that is terminated here.
    """
    with database.write() as connection:
        for name in files.remove_strays(job_rows.ids(connection)):
            log.warning("removed %s: it belonged to no job", name)
        for state, after in _LEFT_BEHIND.items():
            for job in _in_state(connection, state):
                if job.rollback:
                    job_rows.change(
                        connection, job.key, attempt=job.attempt, state=state, values={"rollback": Rollback.WANTED}
                    )
                    continue
                if after is State.TERMINATED:
                    files.remove_output(job.id)
                log.warning("job %s was %s when the service died: %s", job.id, state, after)
                why = "the service had died; its run ended with it"
                transition(connection, job, after, who=SERVICE, at=now(), why=why)
                if after is State.TERMINATED:
                    clean_up(connection, kinds.get(job.kind), job.key)
        if resume:
            for job in _in_state(connection, State.INTERRUPTED):
                why = "the service started again"
                transition(connection, job, State.QUEUED, who=SERVICE, at=now(), why=why)


def _in_state(connection: Connection, state: State) -> list[Job]:
    return [Job.from_row(row) for row in job_rows.in_states(connection, {state})]
