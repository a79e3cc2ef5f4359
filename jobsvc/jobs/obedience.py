"""How long runs take to obey."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import ASKED_BY, OBEYED, RUN, STOPPING, UNDER_WAY, State
from jobsvc.metrics.instruments import STOP_SECONDS
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.queries import event_rows, job_rows

READ_SECONDS = 0.5
"""A run that has obeyed does not hold its slot for longer than that to say so."""


def note(database: Database, job: Job, left: State | None, at: datetime) -> None:
    """The run of `job` has ended at that time, and left it in that state; note how long it took if it was asked to.

    The time of the request is in the job's history, by the clock of the process that wrote it. What nobody can
    read now is not noted.
    """
    if left is not None and left not in OBEYED.values():
        return
    try:
        with database.read(within=READ_SECONDS) as connection:
            events = event_rows.latest(connection, job.key, 2)
            # A rollback that has begun is another attempt, and has no line in the history.
            if left is None and job_rows.by_key(connection, job.key)["attempt"] != job.attempt:
                return
    except DatabaseDown:
        return
    asked = _asked(events, left)
    if asked is not None:
        seconds = max(0.0, (at - asked["at"]).total_seconds())
        STOP_SECONDS.labels(action=ASKED_BY[State(asked["to"])]).observe(seconds)


def _asked(events: Sequence[RowMapping], left: State | None) -> RowMapping | None:
    """The line of the history, whose latest lines these are, with the request that the run has obeyed; or none."""
    if not events:
        return None
    last = events[0]
    if left is None:
        # A rollback is wanted: it goes on from where the run left it.
        return last if last["to"] == State.TERMINATING and last["from"] in UNDER_WAY else None
    obeyed = last["to"] == left and last["who"] == RUN and last["from"] in STOPPING and len(events) > 1
    return events[1] if obeyed and events[1]["to"] == last["from"] else None
