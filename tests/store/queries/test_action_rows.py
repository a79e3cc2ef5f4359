"""Counting what a filter finds, among a million jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from jobsvc.identifiers import ActionKey, JobKey
from jobsvc.store.queries import action_rows
from jobsvc.store.queries.action_rows import Which
from tests.support.environment import Environment
from tests.support.plans import plan_of


def test_a_text_is_looked_for_in_the_order_in_which_the_rows_are_stored(idle: Environment) -> None:
    which = Which(JobKey(1000), text="flights")
    plan = plan_of(idle, lambda connection: action_rows.count_by_state(connection, which))
    assert plan[0] == "SEARCH jobs USING INTEGER PRIMARY KEY (rowid<?)"


@pytest.mark.parametrize(
    "ask",
    [
        action_rows.count_by_state,
        lambda connection, which: action_rows.first_ids(connection, which, ["paused"], 10),
        lambda connection, which: action_rows.list_jobs(connection, ActionKey(2), which, ["paused"], None),
    ],
    ids=["count_by_state", "first_ids", "list_jobs"],
)
def test_what_an_action_has_stopped_is_found_without_looking_at_other_jobs(
    idle: Environment, ask: Callable[[Connection, Which], object]
) -> None:
    which = Which(JobKey(1000), stopped_by=ActionKey(1))
    plan = plan_of(idle, lambda connection: ask(connection, which))
    assert any(line.startswith("SEARCH jobs USING INDEX jobs_stopped (stopped_by=?") for line in plan), plan


def test_what_actions_have_stopped_is_counted_without_looking_at_other_jobs(idle: Environment) -> None:
    plan = plan_of(idle, lambda connection: action_rows.count_stopping(connection, [ActionKey(1)], ["pausing"]))
    assert any(line.startswith("SEARCH jobs USING COVERING INDEX jobs_stopped (stopped_by=?") for line in plan), plan
