"""What is asked of a job, on PostgreSQL, while a checkpoint of its run inserts rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import update

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Effects
from jobsvc.store.tables import jobs
from tests.support.databases import fresh
from tests.support.environment import WHO, Environment
from tests.support.gated import Gate, _GatedWork

ROWS = 10


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


@pytest.fixture
def inserted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate after the rows of a checkpoint, in its transaction. It is open at the end."""
    gate, apply = Gate(), _GatedWork.apply

    def and_wait(work: _GatedWork, effects: Effects, items: Sequence[int]) -> Sequence[tuple[int, str]]:
        refused = apply(work, effects, items)
        gate.pass_through()
        return refused

    monkeypatch.setattr(_GatedWork, "apply", and_wait)
    yield gate
    gate.open()


@pytest.fixture
def inserting(make_env: Callable[..., Environment], inserted: Gate) -> tuple[Environment, Job]:
    """A job whose run has inserted its only batch, and not committed it."""
    env = make_env()
    env.gated.gate.open()
    job = env.submit(count=ROWS, batch=ROWS)
    inserted.wait_reached(1)
    return env, env.job(job)


def test_a_pause_is_written_meanwhile_and_obeyed_by_that_checkpoint(
    inserting: tuple[Environment, Job], inserted: Gate
) -> None:
    env, job = inserting
    # Its time is too short to wait for the rows.
    assert env.service.pause(job.id, WHO, 0).state is State.PAUSING
    inserted.open(1)
    assert env.wait_for(job, State.PAUSED).done == ROWS
    assert env.rows(job) == list(range(1, ROWS + 1))


def test_a_rollback_is_asked_meanwhile_and_leaves_no_row(inserting: tuple[Environment, Job], inserted: Gate) -> None:
    env, job = inserting
    assert env.service.terminate(job.id, WHO, 0, rollback=True).state is State.TERMINATING
    inserted.open(1)
    assert env.wait_for(job, State.TERMINATED).rolled_back
    assert env.rows(job) == []


def test_a_run_that_loses_its_job_meanwhile_leaves_no_row(inserting: tuple[Environment, Job], inserted: Gate) -> None:
    env, job = inserting
    with env.database.write() as connection:
        connection.execute(update(jobs).where(jobs.c.key == job.key).values(attempt=job.attempt + 1))
    inserted.open(1)
    env.wait_left(job)
    assert env.rows(job) == []
    assert env.job(job).done == 0
