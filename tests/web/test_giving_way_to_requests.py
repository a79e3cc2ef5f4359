"""Threads that compute give way to requests: for a moment each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs import runner
from jobsvc.service.new_job import NewJob
from jobsvc.web import in_flight
from jobsvc.web.in_flight import InFlight
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT, poll, wait_for


class Held:
    """A request that is answered when it is let go."""

    def __init__(self) -> None:
        self.come, self.go = Event(), Event()
        self.counted = InFlight(self._answer)
        self._threads: list[Thread] = []

    def _answer(self, environ: Any, start: Callable[..., Any]) -> Iterable[bytes]:
        self.come.set()
        assert self.go.wait(TIMEOUT)
        start("200 OK", [])
        return [b""]

    def begin(self) -> None:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "x", "SERVER_PORT": "1"}
        self._threads.append(Thread(target=run_wsgi_app, args=(self.counted, environ), kwargs={"buffered": True}))
        self._threads[-1].start()
        assert self.come.wait(TIMEOUT)

    def end(self) -> None:
        self.go.set()
        for thread in self._threads:
            thread.join(TIMEOUT)


@pytest.fixture
def held() -> Iterable[Held]:
    held = Held()
    yield held
    held.end()


def test_a_request_is_first_until_it_is_answered(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "FIRST_SECONDS", TIMEOUT)
    assert held.counted.first_for() == 0
    held.begin()
    assert TIMEOUT / 2 < held.counted.first_for() <= TIMEOUT
    held.end()
    assert held.counted.first_for() == 0


def test_a_request_that_takes_long_is_first_for_a_moment_only(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "FIRST_SECONDS", 0.01)
    held.begin()
    poll(lambda: held.counted.first_for() == 0, TIMEOUT, "the moment to be over")


def test_a_run_waits_while_others_are_first_and_no_longer_once_it_is_to_stop(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run that somebody waits for must not give way to the request that waits for it."""
    monkeypatch.setattr(runner, "GIVE_WAY_SECONDS", TIMEOUT)
    waits = Event()

    def first() -> float:
        waits.set()
        return TIMEOUT

    env.runner.others_first_for = first
    job = submit(env)
    assert waits.wait(TIMEOUT)
    env.service.pause(job.id, WHO, TIMEOUT)
    assert env.job(job).state is State.PAUSED
    assert env.job(job).done <= 1
    env.runner.others_first_for = lambda: 0.0
    env.service.resume(job.id, WHO, TIMEOUT)
    assert env.wait_for(job, State.SUCCEEDED).done == 5000


def test_where_others_are_first_all_the_time_a_run_gives_way_for_a_moment_only(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "GIVE_WAY_SECONDS", 0.001)
    env.runner.others_first_for = lambda: TIMEOUT
    assert env.wait_for(submit(env), State.SUCCEEDED).done == 5000


def submit(env: Environment) -> Job:
    job_id = env.service.new_id(WHO, "baselineCSV")
    env.files.input(job_id).write_text("date,n\n" + "2026-01-01,1\n" * 5000)
    return env.service.submit(NewJob(id=job_id, kind="baselineCSV", user=WHO, params={}))


def test_runs_of_the_service_give_way_between_two_pieces_of_a_batch(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def asked_for(_: InFlight) -> float:
        asked.append(1)
        return 0.0

    monkeypatch.setattr(InFlight, "first_for", asked_for)
    app = make_app()
    rows = "date,n\n" + "2026-01-01,1\n" * 5000
    answer = app.test_client().post("/uploadCSV", data={"file": (io.BytesIO(rows.encode()), "rows.csv")})
    wait_for(app.extensions["jobsvc"], answer.get_json()["Job ID"], State.SUCCEEDED)
    assert len(asked) >= 5
