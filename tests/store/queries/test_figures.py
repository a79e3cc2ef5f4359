"""Figures of all jobs are answered from an index: there may be a million jobs."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, update

from jobsvc.clock import now
from jobsvc.store.queries import figures
from jobsvc.store.tables import jobs
from tests.support.environment import Environment
from tests.support.many_jobs import add_jobs
from tests.support.plans import plan_of


@pytest.mark.parametrize(
    ("ask", "plan"),
    [
        (figures.by_kind_and_state, ["SCAN jobs USING COVERING INDEX jobs_figures"]),
        (
            lambda connection: figures.oldest_queued(connection, "queued"),
            ["SEARCH jobs USING COVERING INDEX jobs_state (state=?)"],
        ),
        (figures.webhooks_waiting, ["SEARCH webhooks USING COVERING INDEX webhooks_next (next_at>?)"]),
    ],
    ids=["by_kind_and_state", "oldest_queued", "webhooks_waiting"],
)
def test_no_row_of_a_job_is_looked_at(idle: Environment, ask: Callable[[Connection], object], plan: list[str]) -> None:
    assert plan_of(idle, ask) == plan


def test_of_paused_jobs_alone_the_history_is_looked_at(idle: Environment) -> None:
    plan = plan_of(idle, lambda connection: figures.longest_in(connection, "paused"))
    assert re.fullmatch(r"SEARCH jobs USING COVERING INDEX jobs_\w+ \(state=\?\)", plan[0]), plan
    assert "SEARCH job_events USING INDEX job_events_job (job_key=?)" in plan


@pytest.mark.both_databases
def test_forgotten_jobs_are_not_there_but_their_items_are(idle: Environment) -> None:
    ids = add_jobs(idle.database, 5, "succeeded", "gated")
    with idle.database.write() as connection:
        connection.execute(update(jobs).values(done=10, failed=2, blank=1, taken_back=3))
        connection.execute(update(jobs).where(jobs.c.id.in_(ids[:2])).values(deleted_at=now()))
    with idle.database.read() as connection:
        (found,) = figures.by_kind_and_state(connection)
    assert {**found} == {
        "kind": "gated",
        "state": "succeeded",
        "jobs": 3,
        "done": 50,
        "failed": 10,
        "blank": 5,
        "taken_back": 15,
    }
