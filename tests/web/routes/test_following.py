"""GET /jobs/<id>?wait=&unless=: the answer comes when the job is no longer as the client knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.jobs.states import State
from jobsvc.service.following import follower, place
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, meanwhile, submit_gated, upload
from tests.support.ticks import Ticks
from tests.support.waiting import TIMEOUT, poll, wait_for

both_databases = pytest.mark.both_databases


@contextmanager
def followed(client: FlaskClient, job_id: str, unless: str, wait: float = 30) -> Iterator[Future[TestResponse]]:
    """A request that waits, from before the block begins."""
    services: Services = client.application.extensions["jobsvc"]
    before = len(services.follower._waiting)
    with meanwhile(client, "GET", f"/jobs/{job_id}?wait={wait}&unless={unless}") as answer:
        poll(lambda: len(services.follower._waiting) > before, TIMEOUT, "the request to wait")
        yield answer


def shown(answer: TestResponse) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json, dict)
    return answer.json


@pytest.fixture
def told_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks by himself: what is heard was told."""
    monkeypatch.setattr(follower, "LOOK_SECONDS", 2 * TIMEOUT)


def test_a_job_that_is_no_longer_as_the_client_knows_it_is_shown_at_once(client: FlaskClient) -> None:
    services: Services = client.application.extensions["jobsvc"]
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    for unless in ("running", "0123456789ab-0123456789ab"):
        job = shown(client.get(f"/jobs/{job_id}?wait=30&unless={unless}"))
        assert job["state"] == "succeeded"
        assert client.get(f"/jobs/{job_id}").json == job


@both_databases
def test_a_pause_is_told_to_those_who_wait(make_app: Callable[..., Flask], gated: Gated, told_only: None) -> None:
    app = make_app(max_running=1)
    services = app.extensions["jobsvc"]
    held(services, gated)
    job_id = submit_gated(services)
    with followed(app.test_client(), job_id, "queued") as answer:
        app.test_client().post(f"/jobs/{job_id}/pause")
        assert shown(answer.result(TIMEOUT / 2))["state"] == "paused"


@both_databases
def test_the_end_of_a_run_is_told_to_those_who_wait_for_a_version(
    client: FlaskClient, services: Services, gated: Gated, told_only: None
) -> None:
    job_id = held(services, gated, count=1)
    version = shown(client.get(f"/jobs/{job_id}"))["version"]
    with followed(client, job_id, version) as answer:
        gated.gate.open()
        job = shown(answer.result(TIMEOUT / 2))
    assert job["state"] == "succeeded"
    assert answer.result().headers["ETag"] == f'"{job["version"]}"'


@both_databases
def test_progress_is_seen_and_a_state_that_stays_is_not_told(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    version = shown(client.get(f"/jobs/{job_id}"))["version"]
    with followed(client, job_id, "running") as same, followed(client, job_id, version) as moved:
        gated.gate.open(1)
        job = shown(moved.result(TIMEOUT))
        assert (job["state"], job["progress"]["done"]) == ("running", 1)
        assert not same.done()
        gated.gate.open()
        assert shown(same.result(TIMEOUT))["state"] == "succeeded"


def test_a_fast_run_is_told_of_a_few_times_a_second(make_app: Callable[..., Flask]) -> None:
    app = make_app(kinds=[Ticks()])
    client, services = app.test_client(), app.extensions["jobsvc"]
    job_id = client.post("/kinds/ticks/jobs", json={"count": 10**6, "seconds": 0.001, "batch": 1}).json["id"]
    wait_for(services, job_id, State.RUNNING)
    unless, answers, begun = "queued", 0, monotonic()
    while monotonic() - begun < 2:
        job = shown(client.get(f"/jobs/{job_id}?wait=30&unless={unless}"))
        assert job["version"] != unless
        unless, answers = job["version"], answers + 1
    seconds = monotonic() - begun
    assert 2 <= answers <= seconds / follower.PROGRESS_SECONDS + 1
    assert job["progress"]["done"] > answers
    client.post(f"/jobs/{job_id}/terminate")


def test_after_the_wait_the_job_is_shown_as_it_is(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    job = shown(client.get(f"/jobs/{job_id}"))
    for unless in ("running", job["version"]):
        begun = monotonic()
        answer = client.get(f"/jobs/{job_id}?wait=0.3&unless={unless}")
        assert shown(answer) == job
        assert "Retry-After" not in answer.headers
        assert monotonic() - begun >= 0.3
    assert shown(client.get(f"/jobs/{job_id}?wait=0&unless=running")) == job
    unchanged = client.get(f"/jobs/{job_id}?wait=0&unless=running", headers={"If-None-Match": f'"{job["version"]}"'})
    assert unchanged.status_code == 304


def test_one_more_than_may_wait_is_answered_at_once_and_told_when_to_ask_again(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    with ExitStack() as stack:
        waiting = [stack.enter_context(followed(client, job_id, "running")) for _ in range(place.MOST)]
        begun = monotonic()
        answer = client.get(f"/jobs/{job_id}?wait=30&unless=running")
        assert (shown(answer)["state"], answer.headers["Retry-After"]) == ("running", "2")
        assert monotonic() - begun < TIMEOUT / 2
        assert not any(one.done() for one in waiting)
        gated.gate.open()
        assert {shown(one.result(TIMEOUT))["state"] for one in waiting} == {"succeeded"}
    again = client.get(f"/jobs/{job_id}?wait=0.1&unless=succeeded")
    assert "Retry-After" not in again.headers


@both_databases
def test_a_job_that_is_deleted_meanwhile_is_not_there(client: FlaskClient, services: Services) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    with followed(client, job_id, "succeeded") as answer:
        assert client.delete(f"/jobs/{job_id}").status_code == 204
        assert_problem(answer.result(TIMEOUT), 404, "unknown-job")


@pytest.mark.parametrize(
    ("query", "name", "says"),
    [
        ("wait=3", "wait", "`unless` beside it"),
        ("wait=31&unless=running", "wait", "from 0 to 30"),
        ("wait=-1&unless=running", "wait", "from 0 to 30"),
        ("wait=1&unless=idle", "unless", "queued, running"),
        ("wait=1&unless=", "unless", "without quotes"),
        ('wait=1&unless="0123456789ab-0123456789ab"', "unless", "without quotes"),
        ("unless=running&unless=paused", "unless", "2 times"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(client: FlaskClient, query: str, name: str, says: str) -> None:
    found = assert_problem(client.get(f"/jobs/x?{query}"), 400, "invalid-parameter")
    assert found["parameter"] == name
    assert says in found["detail"]


def test_who_waits_for_a_job_that_is_not_there_is_told_at_once(client: FlaskClient) -> None:
    assert_problem(client.get("/jobs/x?wait=30&unless=running"), 404, "unknown-job")


def test_a_shutdown_ends_the_waits_with_what_is_there(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=1)
    services = app.extensions["jobsvc"]
    held(services, gated)
    job_id = submit_gated(services)
    with followed(app.test_client(), job_id, "queued") as answer, ThreadPoolExecutor(1) as aside:
        closing = aside.submit(services.close)
        assert shown(answer.result(TIMEOUT / 2))["state"] == "queued"
        assert answer.result().headers["Retry-After"] == "2"
        gated.gate.open()
        closing.result(TIMEOUT)


def test_many_who_wait_cost_one_query_a_look(
    client: FlaskClient, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, other = held(services, gated), submit_gated(services)
    looks: list[set[str]] = []
    some = services.jobs.lookup.some

    def counted(ids: set[str]) -> Any:
        looks.append(ids)
        return some(ids)

    monkeypatch.setattr(services.jobs.lookup, "some", counted)
    with ExitStack() as stack:
        for known in (job_id, other):
            for _ in range(place.MOST // 2):
                stack.enter_context(followed(client, known, services.jobs.get(known).state))
        begun, before = monotonic(), len(looks)
        poll(lambda: len(looks) >= before + 4, TIMEOUT, "some looks")
        assert monotonic() - begun >= 3 * follower.ASIDE_SECONDS
        assert looks[-1] == {job_id, other}
        gated.gate.open()
    before = len(looks)
    wait_for(services, submit_gated(services), State.SUCCEEDED)
    assert len(looks) <= before + 1
