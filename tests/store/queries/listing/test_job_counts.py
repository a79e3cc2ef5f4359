"""Counting jobs by state is cheap with a million of them."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from jobsvc.clock import now
from jobsvc.store.queries.listing import job_counts
from jobsvc.store.tables import jobs
from tests.support.environment import Environment
from tests.support.many_jobs import add_jobs
from tests.support.plans import plan_of


@pytest.mark.parametrize(("owner", "searched"), [(None, "state=?"), ("Ann", "state=? AND user=?")])
def test_no_row_of_a_job_is_looked_at(idle: Environment, owner: str | None, searched: str) -> None:
    plan = plan_of(idle, lambda connection: job_counts.by_state(connection, ["failed"], owner, 1000))
    assert f"SEARCH jobs USING COVERING INDEX jobs_counted ({searched})" in plan


@pytest.mark.both_databases
def test_jobs_are_counted_up_to_a_limit_by_state_and_owner_without_forgotten_ones(idle: Environment) -> None:
    ids = add_jobs(idle.database, 6, "failed")
    add_jobs(idle.database, 2, "paused", user="Bob")
    with idle.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.id == ids[0]).values(deleted_at=now()))
    states = ["failed", "paused", "running"]
    with idle.database.read() as connection:
        assert job_counts.by_state(connection, states, None, 100) == {"failed": 5, "paused": 2, "running": 0}
        assert job_counts.by_state(connection, states, None, 3) == {"failed": 3, "paused": 2, "running": 0}
        assert job_counts.by_state(connection, states, "Ann", 100) == {"failed": 5, "paused": 0, "running": 0}
        assert job_counts.by_state(connection, states, "Bob", 1) == {"failed": 0, "paused": 1, "running": 0}
