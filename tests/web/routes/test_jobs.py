"""The job resource: looking at a job, its history, and steering it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.jobs.version import is_version
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, meanwhile, submit_gated, upload
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

SECOND = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def busy(make_app: Callable[..., Flask], gated: Gated) -> Flask:
    """An application whose only slot is taken: jobs wait in the queue."""
    app = make_app(max_running=1)
    held(app.extensions["jobsvc"], gated)
    return app


def job_of(client: FlaskClient, job_id: str) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    return answer.json


def test_a_finished_job_shows_everything_about_it(client: FlaskClient, services: Services) -> None:
    content = b"date,n\n2026-01-01,1\nno date,2\n2026-01-03,3\n"
    job_id = upload(client, content, date_column="date")
    wait_for(services, job_id, State.SUCCEEDED)
    job = job_of(client, job_id)
    for moment in ("created_at", "started_at", "finished_at"):
        assert re.fullmatch(SECOND, job.pop(moment))
    links, progress = job.pop("links"), job.pop("progress")
    assert is_version(job.pop("version"))
    assert job == {
        "id": job_id,
        "kind": "baselineCSV",
        "state": "succeeded",
        "user": "Jon-Doe",
        "params": {
            "delimiter": ",",
            "encoding": "utf-8",
            "quotes": "strict",
            "ragged": "refuse",
            "dry_run": False,
            "date_column": "date",
        },
        "filename": "x.csv",
        "file": {"name": "x.csv", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
        "applied_from": None,
        "applied_as": [],
        "callback_url": None,
        "priority": "normal",
        "warnings": [],
        "error": None,
        "attempt": 1,
        "rolled_back": False,
        "rollback": None,
    }
    assert progress.pop("rate") > 0
    assert progress == {"done": 2, "failed": 1, "blank": 0, "percent": 100.0, "eta_seconds": None}
    assert links["self"] == f"/jobs/{job_id}"


def test_a_waiting_job_has_neither_started_nor_finished(busy: Flask) -> None:
    job = job_of(busy.test_client(), submit_gated(busy.extensions["jobsvc"]))
    assert (job["state"], job["attempt"]) == ("queued", 0)
    assert (job["started_at"], job["finished_at"]) == (None, None)
    assert job["progress"] == {"done": 0, "failed": 0, "blank": 0, "percent": 0.0, "rate": None, "eta_seconds": None}


def test_a_running_job_shows_how_far_it_is(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = submit_gated(services)
    gated.gate.open(4)
    gated.gate.wait_reached(5)
    job = job_of(client, job_id)
    assert (job["state"], job["finished_at"]) == ("running", None)
    assert (job["progress"]["done"], job["progress"]["percent"]) == (4, 40.0)
    assert job["progress"]["rate"] > 0
    assert job["progress"]["eta_seconds"] >= 0


def test_a_failed_job_says_why(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services, fail_at=3)
    wait_for(services, job_id, State.FAILED)
    job = job_of(client, job_id)
    assert "item 3 broke" in job["error"]
    assert job["finished_at"] is not None


def test_the_links_of_a_finished_export_lead_somewhere(client: FlaskClient, services: Services) -> None:
    answer = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-02"})
    assert isinstance(answer.json, dict)
    job_id = answer.json["Job ID"]
    wait_for(services, job_id, State.SUCCEEDED)
    links = job_of(client, job_id)["links"]
    for name in ("self", "events", "result", "records", "teams"):
        assert client.get(links[name]).status_code == 200, name
    for name in ("pause", "resume", "terminate"):
        assert client.post(links[name]).status_code == 409, name


def test_the_history_tells_every_change_of_state_in_order(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    with meanwhile(client, "POST", f"/jobs/{job_id}/pause"):
        wait_for(services, job_id, State.PAUSING)
        gated.gate.open(1)
    client.post(f"/jobs/{job_id}/resume")
    gated.gate.open()
    wait_for(services, job_id, State.SUCCEEDED)
    answer = client.get(f"/jobs/{job_id}/events")
    assert isinstance(answer.json, dict)
    events = answer.json["events"]
    assert [(event["from"], event["to"], event["who"]) for event in events] == [
        (None, "queued", "Jon-Doe"),
        ("queued", "running", "engine"),
        ("running", "pausing", "Jon-Doe"),
        ("pausing", "paused", "run"),
        ("paused", "queued", "Jon-Doe"),
        ("queued", "running", "engine"),
        ("running", "succeeded", "run"),
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["at"]) for event in events)
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert all(event["why"] for event in events)


def test_a_job_is_paused_resumed_and_terminated(busy: Flask) -> None:
    client, job_id = busy.test_client(), submit_gated(busy.extensions["jobsvc"])
    for action, state in (("pause", "paused"), ("resume", "queued"), ("terminate", "terminated")):
        for _ in ("once", "and again"):
            answer = client.post(f"/jobs/{job_id}/{action}")
            assert answer.status_code == 200
            assert answer.json == job_of(client, job_id)
            assert answer.json["state"] == state


@pytest.mark.parametrize(
    ("action", "on_the_way", "there"),
    [
        ("pause", State.PAUSING, State.PAUSED),
        ("terminate", State.TERMINATING, State.TERMINATED),
    ],
)
def test_a_request_waits_until_the_run_obeys(
    client: FlaskClient, services: Services, gated: Gated, action: str, on_the_way: State, there: State
) -> None:
    job_id = held(services, gated)
    with meanwhile(client, "POST", f"/jobs/{job_id}/{action}?wait=30") as future:
        wait_for(services, job_id, on_the_way)
        assert not future.done()
        gated.gate.open(1)
        answer = future.result()
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    assert (answer.json["state"], answer.json["progress"]["done"]) == (there, 1)


@pytest.mark.parametrize(
    ("action", "on_the_way", "there"),
    [
        ("pause", State.PAUSING, State.PAUSED),
        ("terminate", State.TERMINATING, State.TERMINATED),
    ],
)
def test_a_request_that_does_not_wait_answers_202_and_is_obeyed_later(
    client: FlaskClient, services: Services, gated: Gated, action: str, on_the_way: State, there: State
) -> None:
    job_id = held(services, gated)
    for _ in ("once", "and again"):
        answer = client.post(f"/jobs/{job_id}/{action}?wait=0")
        assert answer.status_code == 202
        assert isinstance(answer.json, dict)
        assert answer.json["state"] == on_the_way
    gated.gate.open(1)
    assert wait_for(services, job_id, there).done == 1
    assert client.post(f"/jobs/{job_id}/{action}?wait=0").status_code == 200


def test_how_long_to_wait_may_be_a_form_field(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    assert client.post(f"/jobs/{job_id}/pause", data={"wait": "0"}).status_code == 202


def test_a_resume_goes_on_where_the_job_was_paused(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    client.post(f"/jobs/{job_id}/pause?wait=0")
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    assert client.post(f"/jobs/{job_id}/resume").status_code == 200
    gated.gate.open()
    job = wait_for(services, job_id, State.SUCCEEDED)
    assert (job.done, job.attempt, gated.gate.reached) == (10, 2, 10)


def test_a_resume_while_the_job_is_still_pausing_is_not_allowed(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    client.post(f"/jobs/{job_id}/pause?wait=0")
    found = assert_problem(client.post(f"/jobs/{job_id}/resume?wait=0"), 409, "not-allowed-now")
    assert found["state"] == "pausing"


@pytest.mark.parametrize("action", ["pause", "resume", "terminate"])
def test_a_job_that_has_succeeded_can_not_be_steered(
    client: FlaskClient, services: Services, gated: Gated, action: str
) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    found = assert_problem(client.post(f"/jobs/{job_id}/{action}"), 409, "not-allowed-now")
    assert found["state"] == "succeeded"
    assert job_id in found["detail"]


@pytest.mark.parametrize("action", ["pause", "resume"])
def test_a_job_that_was_terminated_can_not_go_on(busy: Flask, action: str) -> None:
    client, job_id = busy.test_client(), submit_gated(busy.extensions["jobsvc"])
    client.post(f"/jobs/{job_id}/terminate")
    found = assert_problem(client.post(f"/jobs/{job_id}/{action}"), 409, "not-allowed-now")
    assert found["state"] == "terminated"


@pytest.mark.parametrize("action", ["pause", "resume", "terminate"])
def test_a_wait_that_is_no_number_of_seconds_is_refused_and_the_job_left_alone(busy: Flask, action: str) -> None:
    client, job_id = busy.test_client(), submit_gated(busy.extensions["jobsvc"])
    for wait in ("-1", "30.1", "nan", "inf", "soon", ""):
        found = assert_problem(client.post(f"/jobs/{job_id}/{action}?wait={wait}"), 400, "invalid-parameter")
        assert found["parameter"] == "wait"
        assert "from 0 to 30" in found["detail"]
        assert job_of(client, job_id)["state"] == "queued"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/result"),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/terminate"),
    ],
)
@pytest.mark.parametrize("job_id", ["unknown", "%00", "%ff", "..", "%2e%2e", "x" * 5000])
def test_a_job_that_nobody_made_is_unknown(shared_client: FlaskClient, method: str, path: str, job_id: str) -> None:
    found = assert_problem(shared_client.open(f"/jobs/{job_id}{path}", method=method), 404, "unknown-job")
    assert "there is no job" in found["detail"]


@pytest.mark.parametrize("path", ["/jobs/x/pause", "/jobs/x/resume", "/jobs/x/terminate"])
def test_a_form_beyond_measure_is_refused_before_it_is_read_into_memory(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.post(path, data=b"x" * 2_000_000, content_type="application/x-www-form-urlencoded")
    assert_problem(answer, 413)
