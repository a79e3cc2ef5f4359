"""Counting what a filter finds, among a million jobs."""

from __future__ import annotations

from jobsvc.identifiers import JobKey
from jobsvc.store.queries import action_rows
from jobsvc.store.queries.action_rows import Which
from tests.support.environment import Environment
from tests.support.plans import plan_of


def test_a_text_is_looked_for_in_the_order_in_which_the_rows_are_stored(idle: Environment) -> None:
    which = Which(JobKey(1000), text="flights")
    plan = plan_of(idle, lambda connection: action_rows.count_by_state(connection, which))
    assert plan[0] == "SEARCH jobs USING INTEGER PRIMARY KEY (rowid<?)"
