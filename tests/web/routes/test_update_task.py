"""GET and POST /updateTask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.jobs.states import State
from jobsvc.web.routes import original
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import held, meanwhile, submit_gated, told
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

Ask = Callable[[FlaskClient, str, str], TestResponse]


def by_get(client: FlaskClient, job_id: str, action: str) -> TestResponse:
    return client.get("/updateTask", query_string={"id": job_id, "action": action})


def by_form(client: FlaskClient, job_id: str, action: str) -> TestResponse:
    return client.post("/updateTask", data={"id": job_id, "action": action})


def by_multipart(client: FlaskClient, job_id: str, action: str) -> TestResponse:
    data = {"id": job_id, "action": action}
    return client.post("/updateTask", data=data, content_type="multipart/form-data")


def by_post_with_query(client: FlaskClient, job_id: str, action: str) -> TestResponse:
    return client.post("/updateTask", query_string={"id": job_id, "action": action})


every_way = pytest.mark.parametrize("ask", [by_get, by_form, by_multipart, by_post_with_query])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that doesn't acknowledge is not waited for long."""
    monkeypatch.setattr(original, "ACKNOWLEDGE_SECONDS", 0.02)


@pytest.fixture
def busy(make_app: Callable[..., Flask], gated: Gated) -> Flask:
    """An application whose only slot is taken: jobs wait in the queue."""
    app = make_app(max_running=1)
    held(app.extensions["jobsvc"], gated)
    return app


def status(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.json


@every_way
def test_a_job_is_stopped_started_and_terminated(busy: Flask, ask: Ask) -> None:
    client, services = busy.test_client(), busy.extensions["jobsvc"]
    job_id = submit_gated(services)
    steps = {
        "stop": ("stopped", State.PAUSED),
        "start": ("started", State.QUEUED),
        "terminate": ("terminated", State.TERMINATED),
    }
    for action, (word, state) in steps.items():
        for _ in ("once", "and again"):
            assert status(ask(client, job_id, action)) == (200, {"status": f"Job {job_id} {word}."})
            assert services.jobs.get(job_id).state is state


def test_a_stop_waits_until_the_run_acknowledges_it(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    with meanwhile(client, "GET", f"/updateTask?id={job_id}&action=stop") as answer:
        wait_for(services, job_id, State.PAUSING)
        assert not answer.done()
        gated.gate.open(1)
        assert status(answer.result()) == (200, {"status": f"Job {job_id} stopped."})
    job = services.jobs.get(job_id)
    assert (job.state, job.done) == (State.PAUSED, 1)


def test_a_terminate_waits_until_the_run_acknowledges_it(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    with meanwhile(client, "POST", f"/updateTask?id={job_id}&action=terminate") as answer:
        wait_for(services, job_id, State.TERMINATING)
        assert not answer.done()
        gated.gate.open(1)
        assert status(answer.result()) == (200, {"status": f"Job {job_id} terminated."})
    assert services.jobs.get(job_id).state is State.TERMINATED


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("action", "on_the_way", "word", "state"),
    [("stop", "stopping", "stopped", State.PAUSED), ("terminate", "terminating", "terminated", State.TERMINATED)],
)
def test_a_request_that_is_not_acknowledged_in_time_answers_202_and_is_obeyed_later(
    client: FlaskClient, services: Services, gated: Gated, action: str, on_the_way: str, word: str, state: State
) -> None:
    job_id = held(services, gated)
    for _ in ("once", "and again"):
        assert status(by_get(client, job_id, action)) == (202, {"status": f"Job {job_id} {on_the_way}."})
    gated.gate.open(1)
    assert wait_for(services, job_id, state).done == 1
    assert status(by_get(client, job_id, action)) == (200, {"status": f"Job {job_id} {word}."})


@pytest.mark.usefixtures("impatient")
def test_a_terminate_overtakes_a_stop_that_is_not_acknowledged_yet(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    assert by_get(client, job_id, "stop").status_code == 202
    assert status(by_get(client, job_id, "terminate")) == (202, {"status": f"Job {job_id} terminating."})
    gated.gate.open(1)
    wait_for(services, job_id, State.TERMINATED)


@pytest.mark.usefixtures("impatient")
def test_a_start_before_the_stop_is_acknowledged_is_told_to_wait(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    by_get(client, job_id, "stop")
    assert told(by_get(client, job_id, "start")) == (409, "job_stopping")
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    assert status(by_get(client, job_id, "start")) == (200, {"status": f"Job {job_id} started."})
    gated.gate.open()
    assert wait_for(services, job_id, State.SUCCEEDED).done == 10


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("action", ["start", "stop"])
def test_a_job_on_its_way_to_terminated_takes_no_other_request(
    client: FlaskClient, services: Services, gated: Gated, action: str
) -> None:
    job_id = held(services, gated)
    by_get(client, job_id, "terminate")
    assert told(by_get(client, job_id, action)) == (409, "job_stopping")


@pytest.mark.parametrize("action", ["start", "stop", "terminate"])
def test_a_job_that_has_succeeded_is_finished(
    client: FlaskClient, services: Services, gated: Gated, action: str
) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    assert told(by_get(client, job_id, action)) == (409, "job_finished")


@pytest.mark.parametrize("action", ["start", "stop"])
def test_a_job_that_was_terminated_is_finished(busy: Flask, action: str) -> None:
    client, job_id = busy.test_client(), submit_gated(busy.extensions["jobsvc"])
    by_get(client, job_id, "terminate")
    assert told(by_get(client, job_id, action)) == (409, "job_finished")


def test_a_job_that_is_stopped_during_its_last_item_has_only_its_end_left(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated, count=1)
    with meanwhile(client, "GET", f"/updateTask?id={job_id}&action=stop") as answer:
        wait_for(services, job_id, State.PAUSING)
        gated.gate.open(1)
        assert status(answer.result()) == (200, {"status": f"Job {job_id} stopped."})
    assert services.jobs.get(job_id).done == 1
    assert status(by_get(client, job_id, "start")) == (200, {"status": f"Job {job_id} started."})
    assert wait_for(services, job_id, State.SUCCEEDED).done == 1


def test_a_failed_job_can_be_started_again(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services, fail_at=3)
    wait_for(services, job_id, State.FAILED)
    assert told(by_get(client, job_id, "stop")) == (409, "job_finished")
    assert status(by_get(client, job_id, "start")) == (200, {"status": f"Job {job_id} started."})
    assert wait_for(services, job_id, State.FAILED).attempt == 2


@every_way
def test_an_empty_id_is_invalid(shared_client: FlaskClient, ask: Ask) -> None:
    assert told(ask(shared_client, "", "stop")) == (400, "invalid_id")


@pytest.mark.in_one_app
@every_way
def test_an_action_that_is_none_of_the_three_is_invalid(client: FlaskClient, services: Services, ask: Ask) -> None:
    job_id = submit_gated(services, count=0)
    for action in ("", " ", "pause", "Stop", "stop now"):
        assert told(ask(client, job_id, action)) == (400, "invalid_action")


def test_what_is_missing_is_invalid(client: FlaskClient, services: Services) -> None:
    job_id = submit_gated(services, count=0)
    assert told(client.get("/updateTask")) == (400, "invalid_id")
    assert told(client.get("/updateTask?action=stop")) == (400, "invalid_id")
    assert told(client.get("/updateTask?id=%20&action=stop")) == (400, "invalid_id")
    assert told(client.get(f"/updateTask?id={job_id}")) == (400, "invalid_action")


@pytest.mark.parametrize("action", ["", "pause"])
def test_whether_there_is_such_a_job_is_told_before_anything_about_the_action(
    shared_client: FlaskClient, action: str
) -> None:
    assert told(by_get(shared_client, "x", action)) == (404, "id_doesn't_exist")


@every_way
def test_spaces_around_id_and_action_are_left_out(busy: Flask, ask: Ask) -> None:
    job_id = submit_gated(busy.extensions["jobsvc"])
    answer = ask(busy.test_client(), f" {job_id}\n", "\tstop ")
    assert status(answer) == (200, {"status": f"Job {job_id} stopped."})


@every_way
@pytest.mark.parametrize("action", ["start", "stop", "terminate"])
def test_an_id_that_nobody_has_does_not_exist(shared_client: FlaskClient, ask: Ask, action: str) -> None:
    assert told(ask(shared_client, "Jon-Doe-baselineCSV-1-1", action)) == (404, "id_doesn't_exist")


@pytest.mark.parametrize("text", ["%00", "%ff", "%F0%9F%92%A9", "..%2F..%2Fetc", "'%20OR%201=1--", "x" * 10_000])
def test_a_strange_id_does_not_exist(shared_client: FlaskClient, text: str) -> None:
    assert told(shared_client.get(f"/updateTask?id={text}&action=stop")) == (404, "id_doesn't_exist")


def test_a_form_beyond_measure_is_refused_before_it_is_read_into_memory(shared_client: FlaskClient) -> None:
    body = b"action=stop&id=" + b"x" * 2_000_000
    answer = shared_client.post("/updateTask", data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413
