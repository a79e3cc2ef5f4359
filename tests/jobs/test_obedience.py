"""How long runs take to obey is noted, of those that were asked, once each."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import pytest

from jobsvc.jobs.states import State
from jobsvc.metrics.exposition import exposition
from tests.support.environment import WHO, Environment
from tests.support.scraped import Scraped

pytestmark = pytest.mark.both_databases


def noted(action: str) -> tuple[float, float]:
    """How many there are, and how many seconds they took together."""
    found = Scraped(exposition().decode())
    name = "jobsvc_stop_duration_seconds"
    return found.get(f"{name}_count", action=action), found.get(f"{name}_sum", action=action)


@pytest.mark.parametrize(
    ("action", "ask", "state"),
    [
        ("pause", lambda env, job: env.service.pause(job.id, WHO, 0), State.PAUSED),
        ("terminate", lambda env, job: env.service.terminate(job.id, WHO, 0), State.TERMINATED),
        ("terminate", lambda env, job: env.service.terminate(job.id, WHO, 0, rollback=True), State.TERMINATED),
    ],
    ids=["pause", "terminate", "rollback"],
)
def test_a_run_that_obeys_is_noted_once(
    env: Environment, action: str, ask: Callable[..., object], state: State
) -> None:
    job = env.submit_reached(3)
    before = {name: noted(name) for name in ("pause", "terminate")}
    begun = monotonic()
    ask(env, job)
    env.gated.gate.open(1)
    env.wait_for(job, state)
    env.wait_left(job)
    took = monotonic() - begun
    after = {name: noted(name) for name in ("pause", "terminate")}
    other = {"pause": "terminate", "terminate": "pause"}[action]
    assert after[other] == before[other]
    assert after[action][0] - before[action][0] == 1
    # The history has its times from another clock.
    assert 0 < after[action][1] - before[action][1] < took + 0.1


def test_what_did_not_run_has_nobody_to_obey(idle: Environment) -> None:
    before = noted("pause"), noted("terminate")
    job = idle.submit()
    idle.service.pause(job.id, WHO, 1)
    idle.service.terminate(job.id, WHO, 1)
    assert (noted("pause"), noted("terminate")) == before


def test_a_run_that_succeeds_was_not_asked(env: Environment) -> None:
    before = noted("pause"), noted("terminate")
    job = env.submit_reached(2, count=2)
    env.gated.gate.open(1)
    env.wait_for(job, State.SUCCEEDED)
    env.wait_left(job)
    assert (noted("pause"), noted("terminate")) == before
