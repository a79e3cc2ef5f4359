"""The one place where a job changes its state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.jobs import outbox
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, LOGGED_AS, OBEYED, ON_ITS_OWN, TOLD, State, loses_turn, reason
from jobsvc.store.queries import event_rows, job_rows, log_rows
from jobsvc.store.queries.log_rows import Line, storable

AHEAD = 0
"""The turn of jobs that go before all that have yet to begin."""

JOBS_AT_A_TIME = 500
"""How many jobs `transition_all` names in one statement: what every SQLite takes."""


def transition(
    connection: Connection, job: Job, after: State, *, who: str, at: datetime, why: str | None = None, **values: Any
) -> Job | None:
    """Take `job` from the state and attempt it was read with to `after`, and note it in its history.

    `values` are further columns to set; `why` defaults to the reason in the table
    of transitions. Returns the job as it was read, with what is changed; None, with
    nothing changed, if it has moved on since it was read. Raises ForbiddenTransition if the table doesn't allow it.
    """
    allowed_since = reason(job.state, after)
    values = _values(job.state, after, at, values)
    if not job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values):
        return None
    event_rows.add(connection, job.key, at=at, before=job.state, after=after, who=who, why=why or allowed_since)
    if who in ON_ITS_OWN:
        _note(connection, job, after, at, why or allowed_since, values)
    if job.callback_url is not None and after in TOLD:
        outbox.put(connection, job.key, at)
    return job.changed(values)


def transition_all(
    connection: Connection,
    keys: Sequence[JobKey],
    before: State,
    after: State,
    *,
    who: str,
    at: datetime,
    why: str,
    **values: Any,
) -> None:
    """`transition` of many jobs, whose rows are locked: with a few statements for all of them.

    `after` is a state of which no client is told. Raises ForbiddenTransition.
    """
    reason(before, after)
    assert after not in TOLD, "each of them may have somebody to tell"
    values = _values(before, after, at, values)
    for begin in range(0, len(keys), JOBS_AT_A_TIME):
        some = keys[begin : begin + JOBS_AT_A_TIME]
        event_rows.add_to_all(connection, some, at=at, before=before, after=after, who=who, why=why)
        if who in ON_ITS_OWN:
            log_rows.append_to_all(connection, some, at, LOGGED_AS.get(after, "info"), f"{after}: {why}")
        job_rows.change_all(connection, some, values)


def _values(before: State, after: State, at: datetime, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a job that a transition sets; those that are `given` among them."""
    values = {"state": after, "finished_at": at if after in FINISHED else None, **given}
    if after is not State.RUNNING:
        values["eta_seconds"] = None
    if OBEYED.get(before) is not after:
        # Whoever asks something else of a job takes it from the action that has stopped it.
        values.setdefault("stopped_by", None)
    values = {**_turn(before, after), "gives_way": False, "held": False, **values}
    if after is State.TERMINATED:
        # What it has made is removed.
        values["result_bytes"] = 0
    return values


def _turn(before: State, after: State) -> dict[str, Any]:
    """What becomes of a job's turn unless somebody says so: see `loses_turn`. What was under way goes on at once."""
    return {"turn": AHEAD} if loses_turn(before, after) else {}


def _note(connection: Connection, job: Job, after: State, at: datetime, why: str, values: dict[str, Any]) -> None:
    """Note in the job's log what nobody has asked for just now: where an attempt begins, where and why it ends."""
    if "done" in values and "failed" in values:
        done, refused = values["done"], values["failed"]
    else:
        done, refused = job_rows.counts(connection, job.key)
    if after is State.RUNNING:
        attempt = values.get("attempt", job.attempt)
        text = f"attempt {attempt} begins at item {done + refused + 1}"
    else:
        attempt = job.attempt
        text = f"{after}: {values.get('error') or why}; {done} done, {refused} refused"
    level = LOGGED_AS.get(after, "info")
    log_rows.append(connection, job.key, attempt, [Line(at, level, storable(text))])
