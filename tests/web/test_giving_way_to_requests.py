"""Threads that compute give way to requests: for a moment each."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import run_wsgi_app

from jobsvc.jobs.states import State
from jobsvc.web import in_flight
from jobsvc.web.in_flight import InFlight
from tests.support.waiting import TIMEOUT, wait_for


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


def gives_way(held: Held) -> Thread:
    thread = Thread(target=held.counted.give_way)
    thread.start()
    return thread


def test_who_computes_waits_until_the_request_is_answered(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "FIRST_SECONDS", TIMEOUT)
    held.begin()
    thread = gives_way(held)
    thread.join(0.05)
    assert thread.is_alive()
    held.end()
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_a_request_that_takes_long_is_first_for_a_moment_only(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_flight, "FIRST_SECONDS", 0.02)
    held.begin()
    for _ in range(3):
        thread = gives_way(held)
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def test_where_nobody_asks_nobody_waits(held: Held) -> None:
    held.counted.give_way()


def test_runs_of_the_service_give_way_between_two_pieces_of_a_batch(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(InFlight, "give_way", lambda _: asked.append(1))
    app = make_app()
    rows = "date,n\n" + "2026-01-01,1\n" * 5000
    answer = app.test_client().post("/uploadCSV", data={"file": (io.BytesIO(rows.encode()), "rows.csv")})
    wait_for(app.extensions["jobsvc"], answer.get_json()["Job ID"], State.SUCCEEDED)
    assert len(asked) >= 5
