"""What can go wrong with the database, on PostgreSQL: connections that break, values that it can't hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import Connection

from jobsvc.engines import threads
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs import recording
from jobsvc.runs.signals import Signals
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import Conflict, DatabaseDown
from jobsvc.store.locks import process_lock
from jobsvc.store.locks.process_lock import ProcessLock
from tests.support.databases import fresh
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT, poll, wait_for


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.02)


def break_connections(url: str) -> None:
    """End all other sessions in the database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@contextmanager
def down(url: str) -> Iterator[None]:
    """Nobody can connect to the database, or stay connected."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url.replace(f"/{name}", "/postgres"), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'.encode())
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'.encode())


def break_commits(monkeypatch: pytest.MonkeyPatch, url: str, *, after: bool) -> list[str]:
    """Break the connection at the next commit of a checkpoint: before it takes effect, or after."""
    todo = ["once"]
    write = Database.write

    @contextmanager
    def fragile(self: Database, **urgency: Any) -> Iterator[Connection]:
        mine = todo and not urgency.get("urgent")
        with write(self, **urgency) as connection:
            yield connection
            if mine and not after:
                todo.clear()
                break_connections(url)
        if mine and after:
            todo.clear()
            raise DatabaseDown("the answer to the commit was lost")

    monkeypatch.setattr(Database, "write", fragile)
    return todo


def wait_through(env: Environment, job: Job, *states: State) -> Job:
    """Wait for a state while connections are broken: the test's own reading may meet that, too."""

    def arrived() -> bool:
        with suppress(DatabaseDown):
            return env.job(job).state in states
        return False

    env.commits.wait_for(arrived, f"{job.id} to be {' or '.join(states)}")
    return env.job(job)


@pytest.mark.parametrize("after", [False, True])
def test_a_run_that_loses_its_connection_at_a_commit_goes_on_at_its_checkpoint(
    env: Environment, database_url: str, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    job = env.submit_reached(4, batch=2)
    todo = break_commits(monkeypatch, database_url, after=after)
    env.gated.gate.open()
    done = wait_through(env, job, State.SUCCEEDED, State.FAILED)
    assert todo == []
    assert (done.state, done.done, done.attempt) == (State.SUCCEEDED, 10, 2)
    assert env.rows(job) == list(range(1, 11))
    assert [line[:2] for line in env.history(job)] == [
        (None, "queued"),
        ("queued", "running"),
        ("running", "interrupted"),
        ("interrupted", "queued"),
        ("queued", "running"),
        ("running", "succeeded"),
    ]


@pytest.mark.parametrize(("asked", "ends"), [("pause", State.PAUSED), ("terminate", State.TERMINATED)])
def test_what_was_asked_before_the_connection_broke_is_obeyed(
    env: Environment, database_url: str, monkeypatch: pytest.MonkeyPatch, asked: str, ends: State
) -> None:
    job = env.submit_reached(3)
    getattr(env.service, asked)(job.id, WHO, 0)
    break_commits(monkeypatch, database_url, after=False)
    env.gated.gate.open()
    assert wait_through(env, job, ends).done == 2
    assert env.rows(job) == [1, 2]


def test_a_claim_whose_answer_was_lost_is_run(env: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    env.gated.gate.open()
    write, todo = Database.write, ["once"]

    @contextmanager
    def fragile(self: Database, **urgency: Any) -> Iterator[Connection]:
        with write(self, **urgency) as connection:
            yield connection
        if env.runner._claims._doubtful is not None and todo:
            todo.clear()
            raise DatabaseDown("the answer to the commit was lost")

    monkeypatch.setattr(Database, "write", fragile)
    job = env.submit()
    done = env.wait_for(job, State.SUCCEEDED)
    assert todo == []
    assert (done.done, done.attempt) == (10, 1)


def test_while_the_database_is_down_requests_get_503_and_afterwards_all_goes_on(
    make_app: Callable[..., Flask], database_url: str, gated: Any
) -> None:
    client = make_app().test_client()
    job = client.post("/kinds/gated/jobs", json={"count": 5}).get_json()
    gated.gate.open(2)
    gated.gate.wait_reached(3)
    with down(database_url):
        gated.gate.open()
        ready = client.get("/readyz")
        assert ready.status_code == 503
        assert "does not answer" in ready.get_json()["reason"]
        for answer in (
            client.get(f"/jobs/{job['id']}"),
            client.get("/jobs"),
            client.get("/records"),
            client.post(f"/jobs/{job['id']}/pause"),
            client.post("/kinds/gated/jobs", json={"count": 1}),
            client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-02"}),
            client.get(f"/updateTask?id={job['id']}&action=stop"),
        ):
            assert answer.status_code == 503, answer.get_data(as_text=True)
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.mimetype == "application/problem+json"
        assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    services = client.application.extensions["jobsvc"]
    wait_for(services, job["id"], State.SUCCEEDED, seconds=TIMEOUT)
    rows = client.get(f"/records?job={job['id']}").get_json()["records"]
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5]


def test_a_character_that_postgresql_can_not_hold_is_the_client_s_mistake(
    make_app: Callable[..., Flask], database_url: str
) -> None:
    client = make_app().test_client()
    params = {"from": "2026-01-01", "to": "2026-01-02", "job": "a\0b"}
    for answer, why in (
        (client.get("/jobs?user=%00"), "not-storable"),
        (client.post("/kinds/createExport/jobs", json=params), "invalid-parameter"),
    ):
        assert answer.status_code == 400, answer.get_data(as_text=True)
        assert answer.get_json()["type"] == f"urn:jobsvc:{why}"


def test_a_rollback_that_loses_its_connection_goes_on(
    env: Environment, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env.gated.gate.open()
    job = env.submit()
    env.wait_for(job, State.SUCCEEDED)
    todo = break_commits(monkeypatch, database_url, after=False)
    # The rollback begins once this is committed; its breaking may meet the reading of the answer.
    with suppress(DatabaseDown):
        env.service.terminate(job.id, WHO, 0, rollback=True)
    done = wait_through(env, job, State.TERMINATED)
    assert todo == []
    assert done.rolled_back
    assert env.rows(job) == []


def test_an_outage_is_logged_in_a_line_and_everything_else_with_where_it_came_from(
    caplog: pytest.LogCaptureFixture,
) -> None:
    faults = [DatabaseDown("it is away"), Conflict("it stands in the way")]

    def record() -> str:
        if faults:
            raise faults.pop(0)
        return "recorded"

    assert recording.until_recorded(record, Signals()) == "recorded"
    told = [(line.getMessage().rpartition(": ")[2], line.exc_info is None) for line in caplog.records]
    assert told == [("it is away", True), ("Conflict", False)]


def test_a_process_that_ends_while_the_database_is_away_lets_go_of_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_lock, "CHECK_SECONDS", 0.02)
    lock = ProcessLock(Settings(database_url=database_url).url)
    lock.acquire(0)
    lock.watch(lambda: None)
    with down(database_url):
        poll(lambda: lock._connection is None or lock._connection.closed, TIMEOUT, "the lock's connection to be lost")
        lock.release()
    again = ProcessLock(Settings(database_url=database_url).url)
    again.acquire(0)
    again.release()
