"""Between what a request writes and what it waits for."""

from __future__ import annotations

from typing import Any

import pytest

from jobsvc.jobs.errors import NotAllowed
from jobsvc.jobs.states import State
from jobsvc.service.lookup import Standing
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from tests.support.environment import WHO, Environment

pytestmark = pytest.mark.both_databases


def test_a_run_that_has_obeyed_before_its_request_waits_is_not_waited_for(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = env.submit_reached(1)
    ask, wait = env.service.steering._ask, env.notifier.wait
    at_once: list[bool] = []

    def ask_and_let_leave(*given: Any) -> object:
        written = ask(*given)
        env.gated.gate.open()
        env.wait_left(job)
        return written

    def noted(version: int, seconds: float) -> bool:
        at_once.append(wait(version, 0))
        return at_once[-1] or wait(version, seconds)

    monkeypatch.setattr(env.service.steering, "_ask", ask_and_let_leave)
    monkeypatch.setattr(env.notifier, "wait", noted)
    # As in a fleet, where nobody knows here whether there is a run.
    monkeypatch.setattr(env.engine, "signal", lambda *_: True)
    assert env.service.pause(job.id, WHO, 1).state is State.PAUSED
    assert at_once[-1], "what had happened since the request was written was missed"


def test_a_request_whose_run_has_obeyed_and_left_writes_nothing_more(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = env.submit_reached(1)
    ask = env.service.steering._ask

    def ask_and_let_leave(*given: Any) -> object:
        written = ask(*given)
        env.gated.gate.open()
        env.wait_left(job)
        # As if somebody kept the database locked.
        monkeypatch.setattr(Database, "write", refused)
        return written

    def refused(*_: object, **__: object) -> None:
        raise DatabaseBusy("it is locked")

    monkeypatch.setattr(env.service.steering, "_ask", ask_and_let_leave)
    assert env.service.pause(job.id, WHO, 1).state is State.PAUSED
    monkeypatch.undo()


def test_a_refused_request_does_not_disturb_a_run(env: Environment) -> None:
    job = env.submit_reached(1)
    with pytest.raises(NotAllowed):
        env.service.roll_back(job.id, WHO, 0)
    signals = env.engine._running(job.key, job.attempt)
    assert signals is not None
    assert not signals.stop.is_set()


def test_a_job_that_is_resumed_before_its_rollback_is_written_is_not_rolled_back(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.gated.gate.open(1)
    job = env.submit(fail_at=1)
    env.wait_for(job, State.FAILED)
    standing = env.service.lookup.standing

    def resumed_since(job_id: str) -> Standing:
        found = standing(job_id)
        env.service.resume(job_id, WHO, 0)
        return found

    monkeypatch.setattr(env.service.lookup, "standing", resumed_since)
    with pytest.raises(NotAllowed):
        env.service.roll_back(job.id, WHO, 0)
    assert env.job(job).rollback is None
