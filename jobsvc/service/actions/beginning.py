"""The beginning of an action on many jobs: which jobs its filter finds, and what is to be done for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from jobsvc.identifiers import ActionKey, JobKey
from jobsvc.jobs.bulk_action import IDS_SHOWN, BulkAction, Demand, Preview, Skipped
from jobsvc.jobs.states import UNDER_WAY, Action
from jobsvc.store.queries import action_rows
from jobsvc.store.queries.action_rows import Which

IDS_PREVIEWED = 100
"""So many ids a dry run tells."""


class Found(NamedTuple):
    """What a filter finds at one moment."""

    jobs: int
    already: int
    skipped: Skipped


def which(demand: Demand, up_to: JobKey, paused_by: ActionKey | None) -> Which:
    named = demand.filter
    return Which(up_to, named.states, named.kind, named.user, text=named.text, stopped_by=paused_by, owner=named.owner)


def of_those_to_act_on(demand: Demand, jobs: Which) -> Which:
    """Of what the filter finds in the states that are acted on: one that is rolled back is where it is to be."""
    return replace(jobs, not_rolled_back=demand.rolls_back)


def look(connection: Connection, demand: Demand, jobs: Which) -> Found:
    """Count the jobs that the filter finds, by what their states allow."""
    counts = action_rows.count_by_state(connection, jobs)
    to_act_on = (
        action_rows.count_by_state(connection, of_those_to_act_on(demand, jobs)) if demand.rolls_back else counts
    )
    already, skipped = 0, Skipped()
    for state, count in counts.items():
        if state in demand.acted_on():
            already += count - to_act_on.get(state, 0)
            continue
        why = demand.why_not(state)
        if why is None:
            already += count
        else:
            skipped.note(why, action_rows.first_ids(connection, jobs, {state}, IDS_SHOWN), count)
    return Found(sum(counts.values()), already, skipped)


def preview(connection: Connection, demand: Demand, paused_by: ActionKey | None) -> Preview:
    """What the action would do now. A job's kind, or its files, may still not allow it."""
    jobs = which(demand, action_rows.youngest_job(connection), paused_by)
    found = look(connection, demand, jobs)
    would_do = found.jobs - found.already - found.skipped.total
    ids = action_rows.first_ids(connection, of_those_to_act_on(demand, jobs), demand.acted_on(), IDS_PREVIEWED)
    return Preview(found.jobs, would_do, found.already, found.skipped, ids)


def begin(connection: Connection, action: BulkAction, at: datetime) -> None:
    """List what is to be done. The action is the caller's: it has locked its row, or has just made it.

    Jobs are stopped from the end of the queue, and running ones last: otherwise each
    that is stopped would give its slot to one that is to be stopped too. They are
    resumed in the order in which they were queued.
    """
    jobs = which(action.demand, action.up_to, action.paused_by)
    found = look(connection, action.demand, jobs)
    last = None if action.demand.action is Action.RESUME else UNDER_WAY
    to_act_on = of_those_to_act_on(action.demand, jobs)
    listed = action_rows.list_jobs(connection, action.key, to_act_on, action.demand.acted_on(), last)
    values: Mapping[str, object] = {
        "begun_at": at,
        "finished_at": None if listed else at,
        # On PostgreSQL a job may have changed its state between the two looks.
        "found": listed + found.already + found.skipped.total,
        "already": found.already,
        "skipped": found.skipped.stored(),
    }
    action_rows.change(connection, action.key, values)
