"""Locks that somebody else holds: every request is answered in its time, and no job takes harm."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from click.testing import CliRunner
from flask import Flask

from jobsvc.cli.main import main
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.service import submission
from jobsvc.store import again
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.sqlite import backend as sqlite
from jobsvc.web import request_deadline
from jobsvc.web.routes import original
from jobsvc.web.services import Services
from tests.support.environment import Environment
from tests.support.gated import Gated
from tests.support.waiting import TIMEOUT, wait_for

REQUESTS = 8
MAX_SECONDS = 4.0
"""For requests that wait for one second. One after the other, they would take twice as long together."""


@contextmanager
def locked(data_dir: Path, mode: str = "IMMEDIATE") -> Iterator[None]:
    """Another program's write transaction is under way on the database."""
    with closing(sqlite3.connect(data_dir / "jobsvc.db", isolation_level=None, timeout=TIMEOUT)) as other:
        other.execute(f"BEGIN {mode}")
        yield
        other.execute("ROLLBACK")


class Said(logging.Handler):
    """Waits for a line in a log."""

    def __init__(self, logger: str, words: str) -> None:
        super().__init__()
        self._words = words
        self.seen = Event()
        self._logger = logging.getLogger(logger)

    def emit(self, record: logging.LogRecord) -> None:
        if self._words in record.getMessage():
            self.seen.set()

    def __enter__(self) -> Said:
        self._level = self._logger.level
        self._logger.setLevel(logging.DEBUG)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._level)


@pytest.mark.parametrize("run_waits_too", [False, True], ids=["run at an item", "run at its checkpoint"])
def test_requests_are_answered_in_their_time_while_another_program_holds_the_lock(
    app: Flask, services: Services, gated: Gated, tmp_path: Path, run_waits_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", TIMEOUT)
    status, body = (answer := app.test_client().post("/kinds/gated/jobs", json={})).status_code, answer.get_json()
    assert status in (200, 201, 202), body
    gated.gate.wait_reached(1)

    def pause(number: int) -> tuple[int, str | None, float]:
        begun = monotonic()
        path = f"/jobs/{body['id']}/{('pause', 'terminate')[number % 2]}"
        answer = app.test_client().post(path, query_string={"wait": "1"})
        return answer.status_code, answer.headers.get("Retry-After"), monotonic() - begun

    with locked(tmp_path / "data"):
        if run_waits_too:
            gated.gate.open(1)
            turn = services.jobs.lookup._database.backend._turn  # type: ignore[attr-defined]
            # It has the turn, and waits for the lock.
            while not turn._taken:
                Event().wait(0.01)
        with ThreadPoolExecutor(REQUESTS) as pool:
            answers = list(pool.map(pause, range(REQUESTS)))
        assert {(status, after) for status, after, _ in answers} == {(503, "1")}
        assert max(seconds for _, _, seconds in answers) < MAX_SECONDS
        assert services.jobs.get(body["id"]).state is State.RUNNING
    status, _, _ = pause(0)
    assert status in (200, 202)
    gated.gate.open()
    job = wait_for(services, body["id"], State.PAUSED)
    assert services.jobs.resume(job.id, "Ann", 5).state is not State.PAUSED
    assert wait_for(services, body["id"], State.SUCCEEDED).done == 10


def test_what_the_original_s_route_says_while_the_database_is_locked(
    app: Flask, services: Services, gated: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "ACKNOWLEDGE_SECONDS", 0.0)
    monkeypatch.setattr(submission, "REQUEST_SECONDS", 0.1)
    client = app.test_client()
    job_id = client.post("/kinds/gated/jobs", json={}).get_json()["id"]
    gated.gate.wait_reached(1)
    with locked(tmp_path / "data"):
        for answer in (
            client.post("/updateTask", data={"id": job_id, "action": "stop"}),
            client.post("/exportData", json={"from": "2018-07-01", "to": "2018-07-02"}),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "nothing was changed" in answer.get_json()["detail"]
    assert len(services.jobs.page(limit=10).jobs) == 1


def test_requests_that_say_nothing_of_a_wait_are_answered_in_their_time_too(
    app: Flask, services: Services, gated: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", TIMEOUT)
    monkeypatch.setattr(request_deadline, "REQUEST_SECONDS", 0.1)
    monkeypatch.setattr(submission, "REQUEST_SECONDS", 0.1)
    client = app.test_client()
    gated.gate.open()
    job_id = client.post("/kinds/gated/jobs", json={}).get_json()["id"]
    wait_for(services, job_id, State.SUCCEEDED)
    before = sorted((tmp_path / "data" / "files").rglob("*"))
    with locked(tmp_path / "data"):
        begun = monotonic()
        deleted = client.delete(f"/jobs/{job_id}")
        uploaded = client.post("/uploadCSV", data={"file": (BytesIO(b"a,b\n1,2\n"), "some.csv")})
        assert (deleted.status_code, uploaded.status_code) == (503, 503)
        assert monotonic() - begun < MAX_SECONDS
    assert sorted((tmp_path / "data" / "files").rglob("*")) == before, "an upload is left that no job has"
    assert client.delete(f"/jobs/{job_id}").status_code == 204


def test_a_run_whose_checkpoint_finds_the_database_locked_commits_it_when_the_lock_is_gone(
    make_env: Callable[..., Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.01)
    env = make_env()
    job = env.submit_reached(count=3)
    with locked(tmp_path / "data"), Said("jobsvc.store.again", "DatabaseBusy") as said:
        env.gated.gate.open(1)
        assert said.seen.wait(TIMEOUT)
        assert env.gated.gate.reached == 1, "an item began whose job could not be asked for a stop"
    env.gated.gate.open()
    ended = env.wait_for(job, State.SUCCEEDED, State.FAILED)
    assert (ended.state, ended.attempt, env.rows(job)) == (State.SUCCEEDED, 1, [1, 2, 3])


def test_a_run_ends_with_its_process_also_while_the_database_is_locked(
    make_env: Callable[..., Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(again, "TIMES", 10**6)
    env = make_env()
    job = env.submit_reached(count=3)
    with locked(tmp_path / "data"), Said("jobsvc.store.again", "DatabaseBusy") as said:
        env.gated.gate.open(1)
        assert said.seen.wait(TIMEOUT)
        assert env.engine.shut_down(TIMEOUT) == []
        assert env.job(job).state is State.RUNNING
    env.recover()
    assert env.job(job).state is State.QUEUED


def test_a_run_that_can_no_longer_wait_for_the_lock_leaves_its_job_to_go_on(
    make_env: Callable[..., Environment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.01)
    monkeypatch.setattr(again, "TIMES", 1)
    env = make_env()
    job = env.submit_reached(count=3)
    with locked(tmp_path / "data"), Said("jobsvc.runs.recording", "could not be recorded") as said:
        env.gated.gate.open(1)
        assert said.seen.wait(TIMEOUT)
    env.gated.gate.open()
    ended = env.wait_for(job, State.SUCCEEDED, State.FAILED)
    assert (ended.state, ended.attempt, env.rows(job)) == (State.SUCCEEDED, 2, [1, 2, 3])


def test_a_request_does_not_wait_for_a_claim_that_waits_for_the_lock(
    make_env: Callable[..., Environment], tmp_path: Path
) -> None:
    claiming, go_on = Event(), Event()

    def slow(claim: Callable[[], Job | None]) -> Callable[[], Job | None]:
        def claim_slowly() -> Job | None:
            if env.gated.gate.reached:
                claiming.set()
                assert go_on.wait(TIMEOUT)
            return claim()

        return claim_slowly

    env = make_env(claiming=slow, slots=2)
    job = env.submit_reached()
    env.engine.wake()
    assert claiming.wait(TIMEOUT)
    begun = monotonic()
    assert env.service.pause(job.id, "Ann", 0).state is State.PAUSING
    assert monotonic() - begun < MAX_SECONDS
    go_on.set()
    env.gated.gate.open()
    env.wait_for(job, State.PAUSED)


def test_a_start_says_in_words_that_the_database_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.1)
    make_app().extensions["jobsvc"].close()
    with locked(tmp_path / "data"):
        with pytest.raises(DatabaseBusy, match="another process holds the lock"):
            make_app()
        environ = {"JOBSVC_DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": ""}
        done = CliRunner().invoke(main, ["db", "upgrade"], env=environ)
        assert (done.exit_code, "another process holds the lock" in done.output) == (1, True)
    make_app()


@pytest.mark.parametrize("writes", [False, True], ids=["read", "write"])
def test_an_exclusive_lock_keeps_nobody_longer_than_they_may_wait(tmp_path: Path, writes: bool) -> None:
    path = tmp_path / "jobsvc.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("CREATE TABLE things (n INTEGER)")
        database = Database(f"sqlite:///{path}")
        begun = monotonic()
        with pytest.raises(DatabaseBusy):  # noqa: SIM117
            with database.write(within=0.1) if writes else database.read(within=0.1) as connection:
                connection.exec_driver_sql("SELECT * FROM things")
        assert monotonic() - begun < MAX_SECONDS
    with database.write(within=TIMEOUT) as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES (1)")
    database.close()
