"""What a request says is used, or refused by name: on every route, wherever it is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from jobsvc.web.takes import Takes, stated
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, part, send, submit_gated, whole
from tests.support.waiting import wait_for

ORIGINAL = {"/uploadCSV", "/createBulkTeam", "/exportData", "/updateTask"}

TAKES_A_FILE = {"/previews"}
"""Whatever the body is, it is the file; and the file comes before the options, whose names its kind knows."""


def routes(app: Flask) -> list[tuple[str, str, Takes]]:
    """Method and path of all routes, and what they state; Flask's own are left out."""
    found = []
    for rule in app.url_map.iter_rules():
        takes = stated(app.view_functions[rule.endpoint])
        assert takes is not None, f"{rule.rule} doesn't state what it takes: jobsvc.web.takes"
        path = (
            rule.rule.replace("<job_id>", "x")
            .replace("<action_id>", "x")
            .replace("<key_id>", "x")
            .replace("<name>", "createExport")
            .replace("<file>", "page.js")
            .replace("<version>", "x")
        )
        assert "<" not in path
        found += [(method, path, takes) for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}]
    return found


def refused(answer: TestResponse, name: str) -> str:
    """The answer refuses a parameter by name; returns what it says."""
    problem = assert_problem(answer, 400, "invalid-parameter")
    assert problem["parameter"] == name
    detail: str = problem["detail"]
    return detail


def test_every_route_states_what_it_takes_and_only_the_originals_let_pass_what_they_do_not_know(
    shared_client: FlaskClient,
) -> None:
    found = routes(shared_client.application)
    assert {path for _, path, takes in found if takes.unchecked} == ORIGINAL
    assert len({path for _, path, _ in found} - ORIGINAL) >= 16


def test_every_route_refuses_a_parameter_that_it_does_not_know(shared_client: FlaskClient) -> None:
    for method, path, takes in routes(shared_client.application):
        if takes.unchecked or path in TAKES_A_FILE:
            continue
        detail = refused(shared_client.open(f"{path}?nonsense=1", method=method), "nonsense")
        assert f"{method} {path} has no such parameter" in detail or takes.reads_query
        assert all(name in detail for name in takes.query)
        for how in ({"json": {"nonsense": 1}}, {"data": {"nonsense": "1"}}):
            assert "no such parameter" in refused(shared_client.open(path, method=method, **how), "nonsense")


def test_every_route_refuses_a_parameter_that_is_given_twice(shared_client: FlaskClient) -> None:
    for method, path, takes in routes(shared_client.application):
        for name in takes.query:
            twice = shared_client.open(f"{path}?{name}=1&{name}=1", method=method)
            assert "given 2 times" in refused(twice, name), path
        for name in takes.body:
            form = shared_client.open(path, method=method, data={name: ["1", "1"]})
            assert "given 2 times" in refused(form, name), path
            text = f'{{"{name}": 1, "{name}": 1}}'
            assert "given twice" in refused(shared_client.open(path, method=method, data=text), name), path
            both = shared_client.open(f"{path}?{name}=1", method=method, json={name: 1})
            why = "in the query and in the body" if name in takes.query else "has no such parameter"
            assert why in refused(both, name), path


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("data", "content_type", "why"),
    [
        (b"[1]", None, "must be a JSON object"),
        (b'"text"', "application/json", "must be a JSON object"),
        (b"null", "application/json", "must be a JSON object"),
        (b'{"wait": 1', None, "line 1, column"),
        (b'{"wait": NaN}', None, "NaN"),
        (b'{"wait": ' + b"9" * 5000 + b"}", None, "too many digits"),
        (b"[" * 60_000, None, "nested too deeply"),
        (b'{"\xff": 1}', None, "not UTF-8"),
        (b"wait please", "text/plain", "a JSON object or a form"),
        (b"&&", "application/x-www-form-urlencoded", "a JSON object or a form"),
    ],
)
def test_every_route_refuses_a_body_that_is_neither_an_object_nor_a_form(
    shared_client: FlaskClient, data: bytes, content_type: str | None, why: str
) -> None:
    for method, path, takes in routes(shared_client.application):
        if not takes.unchecked and path not in TAKES_A_FILE:
            answer = shared_client.open(path, method=method, data=data, content_type=content_type)
            assert why in assert_problem(answer, 400)["detail"], (method, path)


def test_a_file_where_none_is_taken_is_refused_by_name(shared_client: FlaskClient) -> None:
    for path in ("/jobs/x/pause", "/kinds/createExport/jobs"):
        assert "no file is taken" in refused(send(shared_client, whole(part("file", b"a", "x.csv")), path), "file")


def test_what_belongs_elsewhere_is_told_where(shared_client: FlaskClient) -> None:
    assert "belong in the query" in refused(shared_client.get("/records", json={"limit": 5}), "limit")
    assert "belong in the body" in refused(shared_client.post("/kinds/createExport/jobs?from=2026-01-01"), "from")


def test_an_empty_object_says_nothing(shared_client: FlaskClient) -> None:
    assert shared_client.get("/jobs", json={}).status_code == 200
    assert_problem(shared_client.delete("/jobs/x", json={}), 404, "unknown-job")


def test_a_deletion_with_something_it_does_not_know_deletes_nothing(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    refused(client.delete(f"/jobs/{job_id}", json={"rollback": True}), "rollback")
    refused(client.delete(f"/jobs/{job_id}?rollback=true"), "rollback")
    assert client.get(f"/jobs/{job_id}").status_code == 200
    assert client.delete(f"/jobs/{job_id}").status_code == 204


# How long a request waits

STEERING = {"pause": "pause", "resume": "resume", "terminate": "terminate", "rollback": "roll_back"}


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch, services: Services, gated: Gated) -> tuple[str, list[float]]:
    """A job, and for how long the requests that steer it wanted to wait."""
    asked: list[float] = []
    job_id = held(services, gated)

    def steer(job_id: str, user: str, wait: float, **_: Any) -> Job:
        asked.append(wait)
        return services.jobs.get(job_id)

    for method in STEERING.values():
        monkeypatch.setattr(services.jobs, method, steer)
    return job_id, asked


def test_wait_is_used_however_it_is_sent(client: FlaskClient, waits: tuple[str, list[float]]) -> None:
    job_id, asked = waits
    curl = {"data": '{"wait": 7}', "content_type": "application/x-www-form-urlencoded"}
    for action in STEERING:
        for how in (
            {"query_string": {"wait": "7"}},
            {"data": {"wait": "7"}},
            {"json": {"wait": 7}},
            {"json": {"wait": 7.0}},
            {"json": {"wait": "7"}},
            curl,
        ):
            assert client.post(f"/jobs/{job_id}/{action}", **how).status_code == 200
            assert asked.pop() == 7, (action, how)
        for nothing in ({}, {"json": {}}, {"json": {"wait": None}}):
            assert client.post(f"/jobs/{job_id}/{action}", **nothing).status_code == 200
            assert asked.pop() == 5, action


@pytest.mark.parametrize("wait", [-1, 30.1, 10**400, True, False, "", "soon", [1], {"seconds": 1}], ids=repr)
def test_a_wait_in_json_that_is_no_number_of_seconds_is_refused_and_the_job_left_alone(
    client: FlaskClient, waits: tuple[str, list[float]], wait: Any
) -> None:
    job_id, asked = waits
    for action in STEERING:
        detail = refused(client.post(f"/jobs/{job_id}/{action}", json={"wait": wait}), "wait")
        assert "must be a number of seconds from 0 to 30" in detail
    assert asked == []


def test_a_request_that_says_in_json_not_to_wait_is_answered_202(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    assert client.post(f"/jobs/{job_id}/pause", json={"wait": 0}).status_code == 202
    assert client.post(f"/jobs/{job_id}/terminate", json={"wait": 0, "rollback": True}).status_code == 202


@pytest.mark.parametrize("action", ["pause", "resume", "rollback"])
def test_a_rollback_is_refused_where_it_is_not_an_option(
    client: FlaskClient, services: Services, gated: Gated, action: str
) -> None:
    job_id = held(services, gated)
    for how in ({"json": {"rollback": True}}, {"query_string": {"rollback": "true"}}, {"data": {"rollback": "true"}}):
        refused(client.post(f"/jobs/{job_id}/{action}", **how), "rollback")
    assert services.jobs.get(job_id).state is State.RUNNING


# The original's four


@pytest.mark.parametrize("action", ["stop", "start"])
def test_only_a_terminate_can_roll_back(client: FlaskClient, services: Services, gated: Gated, action: str) -> None:
    job_id = held(services, gated)
    answer = client.get(f"/updateTask?id={job_id}&action={action}&rollback=true")
    assert (answer.status_code, answer.json["errorType"]) == (400, "invalid_rollback")  # type: ignore[index]
    assert services.jobs.get(job_id).state is State.RUNNING


def test_what_the_original_did_not_know_stays_harmless(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=1)
    client, services = app.test_client(), app.extensions["jobsvc"]
    held(services, gated)
    job_id = submit_gated(services)
    answer = client.get(f"/updateTask?id={job_id}&action=stop&now=1&rollback=false")
    assert (answer.status_code, answer.json) == (200, {"status": f"Job {job_id} stopped."})
    assert client.post("/exportData?x=1", json={"from": "2018-07-01", "to": "2018-07-01"}).status_code == 200


@pytest.mark.parametrize("url", [False, 0, [], {}], ids=repr)
def test_a_callback_that_is_no_string_is_refused_even_if_it_looks_like_none(
    shared_client: FlaskClient, url: Any
) -> None:
    body = {"from": "2018-07-01", "to": "2018-07-02", "callback_url": url}
    answer = shared_client.post("/exportData", json=body)
    assert (answer.status_code, answer.json["errorType"]) == (400, "invalid_callback_url")  # type: ignore[index]
    refused(shared_client.post("/kinds/createExport/jobs", json=body), "callback_url")
