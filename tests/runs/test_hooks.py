"""Each hook tells of one transition, and is called by whoever has made it: once, and after its commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Barrier, Event, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobInfo
from jobsvc.runs import recording
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.queries import event_rows, job_rows
from tests.support.environment import WHO, Environment
from tests.support.gated import Gated
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases


class Told(Gated):
    """Notes which hook was called for which job, and in which state the job was then for everybody."""

    name = "told"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, int]] = []
        self.look: Callable[[str], object] = lambda job_id: None

    def on_pause(self, job: JobInfo) -> None:
        self._note("pause", job)

    def on_success(self, job: JobInfo) -> None:
        self._note("success", job)

    def on_failure(self, job: JobInfo) -> None:
        self._note("failure", job)

    def on_terminate(self, job: JobInfo) -> None:
        self._note("terminate", job)

    def _note(self, what: str, job: JobInfo) -> None:
        self.calls.append((what, job.id, job.done))
        self.look(job.id)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def env(make_env: Callable[..., Environment], told: Told) -> Iterator[Environment]:
    env = make_env(kinds=[told])
    yield env
    told.gate.open()


@pytest.fixture
def idle(make_env: Callable[..., Environment], told: Told) -> Environment:
    return make_env(start=False, kinds=[told])


def put(idle: Environment, state: State, **values: Any) -> Job:
    """A job that some earlier process has left in `state`."""
    job = idle.submit_as("told")
    with idle.database.write() as connection:
        values = {"state": state, "attempt": 1, **values}
        job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values=values)
    return idle.job(job)


def reached(env: Environment, told: Told, items: int) -> Job:
    """A job whose `items`-th item is at the gate."""
    job = env.submit_as("told")
    told.gate.open(items - 1)
    told.gate.wait_reached(items)
    return env.job(job)


def test_of_two_requests_that_end_a_job_without_a_run_one_calls(
    idle: Environment, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = put(idle, State.TERMINATING)
    both, signal = Barrier(2), idle.engine.signal

    def met(key: int, attempt: int) -> bool:
        # Both have seen the job as it is, and neither has a run to wait for.
        both.wait(TIMEOUT)
        return signal(key, attempt)

    monkeypatch.setattr(idle.engine, "signal", met)
    threads = [Thread(target=idle.service.terminate, args=(job.id, WHO, 0)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert idle.job(job).state is State.TERMINATED
    assert told.calls == [("terminate", job.id, 0)]


@pytest.mark.parametrize(("ask", "after"), [("terminate", State.TERMINATED), ("pause", State.PAUSED)])
def test_a_request_that_finds_no_run_since_it_has_just_obeyed_leaves_the_call_to_it(
    env: Environment, told: Told, monkeypatch: pytest.MonkeyPatch, ask: str, after: State
) -> None:
    job, signal = reached(env, told, 3), env.engine.signal

    def late(key: int, attempt: int) -> bool:
        if signal(key, attempt):
            told.gate.open(1)
            env.wait_left(job)
        return signal(key, attempt)

    monkeypatch.setattr(env.engine, "signal", late)
    assert getattr(env.service, ask)(job.id, WHO, TIMEOUT).state is after
    env.close()
    assert told.calls == [(ask, job.id, 3)]


def test_a_job_that_was_paused_or_waits_is_terminated_with_one_call(env: Environment, told: Told) -> None:
    job = reached(env, told, 2)
    waiting = env.submit_as("told")
    assert env.service.pause(waiting.id, WHO, 0).state is State.PAUSED
    env.service.pause(job.id, WHO, 0)
    told.gate.open(1)
    env.wait_for(job, State.PAUSED)
    env.service.terminate(job.id, WHO, TIMEOUT)
    env.service.terminate(waiting.id, WHO, TIMEOUT)
    env.service.terminate(waiting.id, WHO, TIMEOUT)
    env.close()
    assert sorted(told.calls) == sorted([("pause", job.id, 2), ("terminate", job.id, 2), ("terminate", waiting.id, 0)])


@pytest.mark.parametrize(
    ("state", "values", "call"),
    [
        (State.TERMINATING, {}, "terminate"),
        (State.PAUSING, {}, "pause"),
        (State.RUNNING, {}, None),
        (State.RUNNING, {"crashes": 5}, "failure"),
        (State.TERMINATING, {"rollback": "running", "crashes": 5}, "terminate"),
        (State.TERMINATING, {"rollback": "running"}, None),
    ],
)
def test_what_a_start_settles_is_told_once_and_after_the_commit(
    idle: Environment, told: Told, state: State, values: dict[str, Any], call: str | None
) -> None:
    job = put(idle, state, **values)
    seen: list[State] = []
    told.look = lambda job_id: seen.append(idle.service.get(job_id).state)
    idle.recover()
    idle.recover()
    assert told.calls == ([] if call is None else [(call, job.id, 0)])
    assert seen == ([] if call is None else [idle.job(job).state])


@pytest.mark.sqlite_only
def test_a_hook_that_does_not_return_holds_up_no_start_and_is_not_called_at_the_next(
    idle: Environment, told: Told, make_app: Callable[..., Flask]
) -> None:
    job = put(idle, State.TERMINATING)
    idle.close()
    begun, end, over = Event(), Event(), Event()

    def hang(_: str) -> None:
        begun.set()
        end.wait(TIMEOUT)
        over.set()

    told.look = hang
    services = make_app(kinds=[told]).extensions["jobsvc"]
    assert begun.wait(TIMEOUT)
    assert services.jobs.get(job.id).state is State.TERMINATED
    services.close()
    make_app(kinds=[told]).extensions["jobsvc"].close()
    assert not over.is_set(), "the start has waited for the hook"
    end.set()
    assert told.calls == [("terminate", job.id, 0)]


def lose_answer(monkeypatch: pytest.MonkeyPatch, to: State, then: Callable[[], object] = lambda: None) -> list[str]:
    """The next transaction that takes a job to `to` is committed, and whoever made it hears that the database broke."""
    todo, add_event, write = ["once"], event_rows.add, Database.write
    made: list[str] = []

    def noted(connection: Connection, key: int, **line: Any) -> None:
        add_event(connection, key, **line)
        if line["after"] == to:
            made.append(line["who"])

    @contextmanager
    def fragile(self: Database, **urgency: Any) -> Iterator[Connection]:
        with write(self, **urgency) as connection:
            yield connection
        if made and todo:
            todo.clear()
            then()
            raise DatabaseDown("the answer to the commit was lost")

    monkeypatch.setattr(event_rows, "add", noted)
    monkeypatch.setattr(Database, "write", fragile)
    monkeypatch.setattr(recording, "FIRST_DELAY_SECONDS", 0.01)
    return todo


@pytest.mark.parametrize(
    ("ask", "after", "call"),
    [
        ("pause", State.PAUSED, "pause"),
        ("terminate", State.TERMINATED, "terminate"),
        (None, State.SUCCEEDED, "success"),
    ],
)
def test_a_run_that_did_not_hear_that_it_has_ended_its_job_calls_all_the_same(
    env: Environment, told: Told, monkeypatch: pytest.MonkeyPatch, ask: str | None, after: State, call: str
) -> None:
    job = reached(env, told, 4)
    if ask is not None:
        getattr(env.service, ask)(job.id, WHO, 0)
    todo = lose_answer(monkeypatch, after)
    told.gate.open()
    env.wait_for(job, after)
    env.close()
    assert todo == []
    assert [what for what, _, _ in told.calls] == [call]


def test_a_run_that_did_not_hear_of_its_pause_leaves_it_to_others_to_tell_what_they_did_then(
    env: Environment, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = reached(env, told, 4)
    env.service.pause(job.id, WHO, 0)
    todo = lose_answer(monkeypatch, State.PAUSED, lambda: env.service.terminate(job.id, WHO, 0))
    told.gate.open(1)
    env.wait_for(job, State.TERMINATED)
    env.close()
    assert todo == []
    assert [what for what, _, _ in told.calls] == ["terminate"]


def test_a_rollback_tells_once_what_the_job_is_then(
    env: Environment, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = reached(env, told, 10)
    told.gate.open(1)
    env.wait_for(job, State.SUCCEEDED)
    todo = lose_answer(monkeypatch, State.TERMINATED)
    assert env.service.roll_back(job.id, WHO, TIMEOUT).rolled_back
    env.close()
    assert todo == []
    assert told.calls == [("success", job.id, 10), ("terminate", job.id, 0)]


def test_a_rollback_that_fails_has_ended_the_job_too(
    env: Environment, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def undo(*_: object) -> int:
        raise RuntimeError("the disk is away")

    monkeypatch.setattr(Told, "undo", undo)
    job = reached(env, told, 2)
    answer = env.service.terminate(job.id, WHO, 0, rollback=True)
    told.gate.open()
    env.wait_for(answer, State.TERMINATED)
    env.close()
    assert [what for what, _, _ in told.calls] == ["terminate"]
