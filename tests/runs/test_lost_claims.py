"""A claim that was committed, and whose answer was lost: its run begins later, and obeys what was asked meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from jobsvc.engines import threads
from jobsvc.jobs.states import State
from jobsvc.runs.ending import ended_by_run
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.tables import job_events
from tests.support.environment import WHO, Environment


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.02)


def lose_claim(monkeypatch: pytest.MonkeyPatch, env: Environment, meanwhile: Callable[[], None]) -> list[str]:
    """The next claim is committed, and the dispatcher hears that the database went away; `meanwhile` is done first."""
    write, todo = Database.write, ["once"]

    @contextmanager
    def fragile(self: Database, **urgency: Any) -> Iterator[Connection]:
        with write(self, **urgency) as connection:
            yield connection
        if env.runner._claims._doubtful is not None and todo:
            todo.clear()
            meanwhile()
            raise DatabaseDown("the answer to the commit was lost")

    monkeypatch.setattr(Database, "write", fragile)
    return todo


@pytest.mark.both_databases
@pytest.mark.parametrize(("asked", "ends"), [(State.PAUSING, State.PAUSED), (State.TERMINATING, State.TERMINATED)])
def test_no_item_begins_of_a_job_that_was_stopped_before_its_claim_was_found_again(
    make_env: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch, asked: State, ends: State
) -> None:
    env = make_env(start=False)
    job = env.submit()
    env.gated.gate.open()
    # Nobody tells the run of it: there is none yet.
    todo = lose_claim(monkeypatch, env, lambda: env.ask_for(job, asked))
    env.engine.start()
    done = env.wait_for(job, ends)
    assert todo == []
    assert (env.gated.gate.reached, done.done, done.attempt, env.rows(job)) == (0, 0, 1, [])


def test_a_job_that_was_paused_so_goes_on_when_it_is_resumed(
    make_env: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(start=False)
    job = env.submit()
    env.gated.gate.open()
    lose_claim(monkeypatch, env, lambda: env.ask_for(job, State.PAUSING))
    env.engine.start()
    env.wait_for(job, State.PAUSED)
    env.service.resume(job.id, WHO, 0)
    assert env.wait_for(job, State.SUCCEEDED).done == 10
    assert env.rows(job) == list(range(1, 11))


def test_who_asks_what_became_of_a_job_that_was_forgotten_meanwhile_hears_nothing(idle: Environment) -> None:
    """A worker that was frozen wakes up after that."""
    job = idle.submit()
    with idle.database.write() as connection:
        connection.execute(delete(job_events).where(job_events.c.job_key == job.key))
    with idle.database.read() as connection:
        assert ended_by_run(connection, job) is None
