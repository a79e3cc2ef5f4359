"""Actions on many jobs at once, as clients ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, submit_gated
from tests.support.waiting import wait_for


def ask(client: FlaskClient, status: int = 200, key: str | None = None, **what: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = client.post("/jobs/actions", json=what, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json


def state(client: FlaskClient, job_id: str) -> str:
    return str(client.get(f"/jobs/{job_id}").json["state"])  # type: ignore[index]


def test_the_service_is_emptied_and_filled_again_with_two_requests(
    make_app: Callable[..., Flask], gated: Gated
) -> None:
    app = make_app(max_running=1)
    client, services = app.test_client(), app.extensions["jobsvc"]
    running, others = held(services, gated), submit_gated(services)
    assert client.post(f"/jobs/{others}/pause").status_code == 200
    pause = ask(client, 202, action="pause", wait=0)
    assert (pause["found"], pause["finished_at"]) == (2, None) or pause["stopping"] == 1
    # An item that goes before the action's thread has come to its job does not end with the pause: the next begins.
    wait_for(services, running, State.PAUSING)
    gated.gate.open(1)
    path = pause["links"]["self"]
    pause = client.get(f"{path}?wait=30").json
    assert pause is not None
    assert {name: pause[name] for name in ("found", "done", "already", "left", "stopping")} == {
        "found": 2,
        "done": 1,
        "already": 1,
        "left": 0,
        "stopping": 0,
    }
    assert state(client, running) == "paused"
    resume = ask(client, action="resume", paused_by=pause["id"])
    assert (resume["found"], resume["done"]) == (1, 1)
    assert state(client, others) == "paused"
    gated.gate.open()
    wait_for(services, running, State.SUCCEEDED)


def test_a_request_waits_until_all_is_done_and_obeyed(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    assert ask(client, 202, action="pause", wait=0.1)["done"] in (0, 1)
    wait_for(services, job_id, State.PAUSING)
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    action = ask(client, action="terminate", wait=30)
    assert (action["done"], action["stopping"], action["left"]) == (1, 0, 0)
    assert action["finished_at"]
    assert state(client, job_id) == "terminated"


def test_a_dry_run_counts_and_changes_nothing(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    assert ask(client, action="terminate", rollback=True, kind="gated", dry_run=True, state=None) == {
        "dry_run": True,
        "action": "terminate",
        "rollback": True,
        "filter": {"state": None, "kind": "gated", "user": None, "text": None, "paused_by": None},
        "found": 1,
        "would_do": 1,
        "already": 0,
        "skipped": {"count": 0, "reasons": []},
        "jobs": [job_id],
    }
    assert ask(client, action="pause", state="paused", dry_run="true")["found"] == 0
    assert state(client, job_id) == "running"
    assert client.get("/jobs/actions").json == {"actions": [], "next": None}


def test_what_was_passed_over_is_told_with_its_reason(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services, count=1_000)
    assert client.post(f"/jobs/{job_id}/terminate").status_code == 200
    skipped = {
        "count": 1,
        "reasons": [{"why": "it is terminated: it can't be paused", "count": 1, "jobs": [job_id]}],
    }
    assert ask(client, action="pause", dry_run=True)["skipped"] == skipped
    assert ask(client, action="pause")["skipped"] == skipped


@pytest.mark.parametrize(
    ("what", "name", "says"),
    [
        ({}, "action", "pause, resume, terminate, rollback"),
        ({"action": "stop"}, "action", "pause, resume, terminate, rollback"),
        ({"action": ["pause"]}, "action", "text"),
        ({"action": "pause", "state": "idle"}, "state", "queued, running"),
        ({"action": "pause", "state": "running,idle"}, "state", "several with commas between"),
        ({"action": "pause", "text": ""}, "text", "leave it out for all jobs"),
        ({"action": "pause", "text": "x" * 201}, "text", "up to 200"),
        ({"action": "pause", "state": ""}, "state", "leave it out for all jobs"),
        ({"action": "pause", "kind": 7}, "kind", "text"),
        ({"action": "pause", "user": "a\x7f"}, "user", "printable"),
        ({"action": "pause", "user": "a\x00"}, "user", "printable"),
        ({"action": "pause", "status": "running"}, "status", "no such parameter"),
        ({"action": "pause", "rollback": True}, "rollback", "action=terminate"),
        ({"action": "terminate", "rollback": "maybe"}, "rollback", "true or false"),
        ({"action": "pause", "paused_by": "pause-1-1"}, "paused_by", "action=resume"),
        ({"action": "resume", "paused_by": "pause-1-1"}, "paused_by", "there is no action 'pause-1-1'"),
        ({"action": "pause", "dry_run": "perhaps"}, "dry_run", "true or false"),
        ({"action": "pause", "wait": -1}, "wait", "from 0 to 30"),
        ({"action": "pause", "dry_run": True, "wait": "long"}, "wait", "from 0 to 30"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    what: dict[str, Any], name: str, says: str, shared_client: FlaskClient
) -> None:
    for more in ({}, {"dry_run": True}):
        problem = assert_problem(shared_client.post("/jobs/actions", json=more | what), 400, "invalid-parameter")
        assert problem["parameter"] == name
        assert says in problem["detail"]
    assert shared_client.get("/jobs/actions").json == {"actions": [], "next": None}


def test_only_a_pause_has_paused_jobs(client: FlaskClient) -> None:
    other = ask(client, action="terminate")
    answer = client.post("/jobs/actions", json={"action": "resume", "paused_by": other["id"]})
    assert "it was to terminate" in assert_problem(answer, 400, "invalid-parameter")["detail"]


def test_a_repeated_request_gets_the_first_ones_action(client: FlaskClient, services: Services) -> None:
    first = ask(client, action="pause", key="deploy")
    job_id = submit_gated(services)
    again = ask(client, action="pause", wait=0, key="deploy")
    assert again == first
    assert state(client, job_id) != "paused"
    answer = client.post("/jobs/actions", json={"action": "resume"}, headers={"Idempotency-Key": "deploy"})
    assert_problem(answer, 422, "idempotency-key-reused")
    answer = client.post("/jobs/actions", json={"action": "resume"}, headers={"Idempotency-Key": ""})
    assert assert_problem(answer, 400, "invalid-parameter")["parameter"] == "Idempotency-Key"


def test_actions_are_listed_newest_first_in_pages(client: FlaskClient) -> None:
    ids = [ask(client, action=verb)["id"] for verb in ("pause", "resume", "terminate")]
    page = client.get("/jobs/actions?limit=2").json
    assert page is not None
    assert [action["id"] for action in page["actions"]] == ids[:0:-1]
    rest = client.get(f"/jobs/actions?limit=2&after={page['next']}").json
    assert rest is not None
    assert [action["id"] for action in rest["actions"]] == ids[:1]
    assert rest["next"] is None
    assert client.get(f"/jobs/actions/{ids[0]}").json == rest["actions"][0]


@pytest.mark.parametrize("action_id", ["pause-1-1", "x%00", "%ED%A0%80"])
def test_there_is_no_such_action(action_id: str, shared_client: FlaskClient) -> None:
    assert_problem(shared_client.get(f"/jobs/actions/{action_id}"), 404, "unknown-action")
