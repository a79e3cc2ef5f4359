"""What a start makes of the jobs that the last process left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from jobsvc.jobs.job import Job
from jobsvc.jobs.service import SERVICE
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
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


def recover(database: Database, files: Files, now: Callable[[], datetime], *, resume: bool) -> None:
    """Settle what was under way when the last process ended, before anything starts.

    With `resume`, interrupted jobs are queued again, ahead of the jobs that were
    waiting: they keep the time at which they were first queued. Queued and paused
    jobs stay as they are.
    """
    with database.write() as connection:
        for name in files.remove_strays(job_rows.ids(connection)):
            log.warning("removed %s: its upload was cut off", name)
        for state, after in _LEFT_BEHIND.items():
            for job in _in_state(connection, state):
                log.warning("job %s was %s when the service died: %s", job.id, state, after)
                why = "the service had died; its run ended with it"
                transition(connection, job, after, who=SERVICE, at=now(), why=why)
        if resume:
            for job in _in_state(connection, State.INTERRUPTED):
                why = "the service started again"
                transition(connection, job, State.QUEUED, who=SERVICE, at=now(), why=why)


def _in_state(connection: Connection, state: State) -> list[Job]:
    return [Job.from_row(row) for row in job_rows.in_states(connection, {state})]
