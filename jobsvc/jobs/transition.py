"""The one place where a job changes its state."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jobsvc.jobs import outbox
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, OBEYED, TOLD, State, reason
from jobsvc.store.queries import event_rows, job_rows


def transition(
    connection: Connection, job: Job, after: State, *, who: str, at: datetime, why: str | None = None, **values: Any
) -> Job | None:
    """Take `job` from the state and attempt it was read with to `after`, and note it in its history.

    `values` are further columns to set; `why` defaults to the reason in the table
    of transitions. Returns the job as it was read, with what is changed; None, with
    nothing changed, if it has moved on since it was read. Raises ForbiddenTransition if the table doesn't allow it.
    """
    allowed_since = reason(job.state, after)
    values = {"state": after, "finished_at": at if after in FINISHED else None, **values}
    if after is not State.RUNNING:
        values["eta_seconds"] = None
    if OBEYED.get(job.state) is not after:
        # Whoever asks something else of a job takes it from the action that has stopped it.
        values.setdefault("stopped_by", None)
    if not job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values):
        return None
    event_rows.add(connection, job.key, at=at, before=job.state, after=after, who=who, why=why or allowed_since)
    if job.callback_url is not None and after in TOLD:
        outbox.put(connection, job.key, at)
    return job.changed(values)
