from __future__ import annotations

from itertools import product

import pytest

from jobsvc.clock import now
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import (
    FINISHED,
    HOOKS,
    LEFT_BEHIND,
    MOVES,
    OBEYED,
    RAN_TO_ITS_END,
    STANDING_STILL,
    STOPPING,
    TRANSITIONS,
    UNDER_WAY,
    Action,
    ForbiddenTransition,
    State,
    reason,
)
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.store.queries import job_rows
from tests.support.environment import Environment

DESIGN = """
queued -> running, paused, terminating
running -> succeeded, failed, pausing, interrupted, terminating, queued
pausing -> paused, succeeded, failed, terminating
paused -> queued, terminating
interrupted -> queued, paused, terminating
terminating -> terminated
succeeded -> terminating
failed -> queued, terminating
terminated -> terminating
"""
"""DESIGN.md's list, and three more: a terminate overtakes a pause, a rollback may be asked for after a terminate, and a
job may give way to one of a higher priority."""

ALLOWED = {
    (State(before), State(after))
    for line in DESIGN.split("\n")
    if line
    for before, afters in [line.split(" -> ")]
    for after in afters.split(", ")
}

PAIRS = sorted(product(State, State))


def in_state(idle: Environment, state: State) -> Job:
    """A job that was put in a state, without regard to the table."""
    job = idle.submit()
    with idle.database.write() as connection:
        job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values={"state": state})
    return idle.job(job)


def test_the_table_is_the_design_s_list() -> None:
    assert {(before, after) for before, afters in TRANSITIONS.items() for after in afters} == ALLOWED
    assert set(TRANSITIONS) == set(State)


def test_every_transition_has_a_reason() -> None:
    assert all(reason(before, after).strip() for before, after in ALLOWED)


def test_a_finished_job_is_one_that_nothing_happens_to_by_itself() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.TERMINATED} == FINISHED


def test_an_action_takes_a_job_only_where_the_table_lets_it_go() -> None:
    moves = {(before, after) for action in Action for before, after in MOVES[action].items() if after is not None}
    assert moves <= ALLOWED


def test_what_is_asked_again_is_harmless() -> None:
    """Also while it is on its way: where an action has led, it leads nowhere else."""
    for action in Action:
        for after in set(MOVES[action].values()) - {None}:
            assert MOVES[action][after] is None


def test_what_is_asked_of_a_run_ends_as_the_table_lets_it() -> None:
    assert set(OBEYED.items()) <= ALLOWED
    assert set(LEFT_BEHIND.items()) <= ALLOWED
    assert not set(OBEYED.values()) & UNDER_WAY, "who waits for it would wait for ever"


def test_the_groups_of_states_have_the_states_that_they_say() -> None:
    assert {State.PAUSING, State.TERMINATING} == STOPPING
    assert {State.RUNNING, State.PAUSING, State.TERMINATING} == UNDER_WAY
    assert {State.PAUSED, State.INTERRUPTED, *FINISHED} == STANDING_STILL
    assert {State.SUCCEEDED, State.FAILED} == RAN_TO_ITS_END


def test_every_hook_is_one_that_kinds_have() -> None:
    assert all(callable(getattr(Kind, hook)) for hook in HOOKS.values())


def test_every_allowed_transition_occurs_and_every_other_pair_is_forbidden(idle: Environment) -> None:
    for before, after in PAIRS:
        job = in_state(idle, before)
        history = idle.history(job)
        with idle.database.write() as connection:
            if (before, after) in ALLOWED:
                assert transition(connection, job, after, who="a test", at=now())
                expected, line = after, [(before, after, "a test")]
            else:
                with pytest.raises(ForbiddenTransition):
                    transition(connection, job, after, who="a test", at=now(), why="for no reason")
                expected, line = before, []
        assert idle.job(job).state is expected
        assert idle.history(job) == history + line
