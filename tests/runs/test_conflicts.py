"""Transactions that PostgreSQL breaks off because another one stands in their way: each is done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text

from jobsvc.clock import now
from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Work
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.checkpoints.writer import CheckpointWriter
from jobsvc.runs.ending import break_off, fail
from jobsvc.runs.recovery import interrupt
from jobsvc.runs.sampling.progress import ProgressMeter
from jobsvc.store.database import Database
from jobsvc.store.errors import Conflict
from jobsvc.store.queries import job_rows
from tests.support.databases import fresh
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT

LOCK = 4711


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


@contextmanager
def deadlock(url: str, job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Conflict]]:
    """The next write transaction that asks for the job's row gets into a deadlock, and is the one that has to give way.

    Yields what became of it.
    """
    holds_job, wanted = Event(), Event()
    write, conflicts, todo = Database.write, [], ["once"]

    def hold() -> None:
        with psycopg.connect(url, options="-c deadlock_timeout=1min") as other:
            other.execute("SELECT key FROM jobs WHERE key = %s FOR UPDATE", (job.key,))
            holds_job.set()
            assert wanted.wait(TIMEOUT)
            other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            other.rollback()

    @contextmanager
    def crossed(self: Database, **urgency: Any) -> Iterator[Connection]:
        try:
            with write(self, **urgency) as connection:
                if todo:
                    todo.clear()
                    connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
                    wanted.set()
                    blocked = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                    while not connection.execute(blocked).scalar_one():
                        pass
                yield connection
        except Conflict as conflict:
            conflicts.append(conflict)
            raise

    thread = Thread(target=hold)
    thread.start()
    assert holds_job.wait(TIMEOUT)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", crossed)
        yield conflicts
    wanted.set()
    thread.join(TIMEOUT)
    assert not thread.is_alive()


class _NoWork(Work):
    def batches(self) -> Iterator[Any]:
        return iter(())


def put(idle: Environment, state: State, **values: Any) -> Job:
    job = idle.submit()
    with idle.database.write() as connection:
        job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values={"state": state, **values})
    return idle.job(job)


def succeed(idle: Environment, job: Job) -> State:
    meter = ProgressMeter(lambda: 0.0, 0, 0)
    said = RunLog(job.attempt, now)
    writer = CheckpointWriter(idle.gated, job, _NoWork(), meter, now, said, output_bytes=lambda: None)
    return Checkpoints(idle.database, writer).end()


def rollbacks(idle: Environment) -> Any:
    return idle.another_process().rollbacks


ROLLING_BACK = {"state": State.TERMINATING, "rollback": "running"}

CASES: dict[str, tuple[dict[str, Any], Callable[[Environment, Job], object], State, str | None]] = {
    "succeed": ({"state": State.RUNNING}, succeed, State.SUCCEEDED, None),
    "fail": (
        {"state": State.RUNNING},
        lambda idle, job: fail(idle.database, idle.gated, job, "it broke", now, RunLog(job.attempt, now)),
        State.FAILED,
        None,
    ),
    "break off": (
        {"state": State.PAUSING},
        lambda idle, job: break_off(idle.database, idle.gated, job, None, now, RunLog(job.attempt, now), leaving=False),
        State.PAUSED,
        None,
    ),
    "interrupt": (
        {"state": State.RUNNING},
        lambda idle, job: interrupt(idle.database, idle.gated, job, now, RunLog(job.attempt, now)),
        State.QUEUED,
        None,
    ),
    "undo": (ROLLING_BACK, lambda idle, job: rollbacks(idle)._undo_some(job), State.TERMINATING, "running"),
    "end of a rollback": (ROLLING_BACK, lambda idle, job: rollbacks(idle)._end(job), State.TERMINATED, None),
    "hand back": (ROLLING_BACK, lambda idle, job: rollbacks(idle)._hand_back(job), State.TERMINATING, "wanted"),
    "claim": ({"state": State.QUEUED}, lambda idle, _: idle.runner.claim(), State.RUNNING, None),
    "claim a rollback": (
        {"state": State.TERMINATING, "rollback": "wanted"},
        lambda idle, _: rollbacks(idle).claim(),
        State.TERMINATING,
        "running",
    ),
    "pause": ({"state": State.QUEUED}, lambda idle, job: idle.service.pause(job.id, WHO, 5), State.PAUSED, None),
    "resume": ({"state": State.PAUSED}, lambda idle, job: idle.service.resume(job.id, WHO, 5), State.QUEUED, None),
    "obey for nobody": (
        {"state": State.TERMINATING},
        lambda idle, job: idle.service.settling._ended(job),
        State.TERMINATED,
        None,
    ),
    "ask for a rollback": (
        {"state": State.FAILED},
        lambda idle, job: idle.service.roll_back(job.id, WHO, 0),
        State.TERMINATING,
        "wanted",
    ),
    "start": ({"state": State.RUNNING}, lambda idle, _: idle.recover(), State.QUEUED, None),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_done_again(idle: Environment, database_url: str, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    values, call, state, rollback = CASES[case]
    job = put(idle, **values)
    with deadlock(database_url, job, monkeypatch) as conflicts:
        call(idle, job)
    assert len(conflicts) == 1, "it did not stand in anybody's way"
    after = idle.job(job)
    assert (after.state, after.rollback) == (state, rollback)


def test_a_request_does_not_try_longer_than_it_may_wait(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def in_the_way(*_: object, **__: object) -> Iterator[Connection]:
        raise Conflict("another one stands in the way")
        yield

    job = idle.submit()
    monkeypatch.setattr(Database, "write", in_the_way)
    with pytest.raises(Conflict):
        idle.service.pause(job.id, WHO, 0)
