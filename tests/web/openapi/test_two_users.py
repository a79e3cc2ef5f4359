"""Two users ask whatever the contract allows, with each other's ids: neither sees anything of the other."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, given, settings
from werkzeug.wsgi import ClosingIterator

from jobsvc.access.key_ring import KeyRing
from jobsvc.jobs.states import State
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

EXAMPLES = 6
"""For each operation and user."""

KEYS = {user: f"key-of-{user}-{'0' * 16}" for user in ("ann", "bob")}


class Owned(NamedTuple):
    """What one user has; every text of theirs has `mark` in it."""

    user: str
    mark: str
    jobs: list[str]
    action: str


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    ring = KeyRing.read(",".join(f"{user}:{key}:user" for user, key in KEYS.items()))
    return make_app(api_keys=ring)


def bearer(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[user]}"}


def made(app: Flask, user: str) -> Owned:
    """Jobs of each kind with records, teams, refused rows, a result and a log, and an action."""
    client, mark = app.test_client(), f"mark-of-{user}"
    services = app.extensions["jobsvc"]

    def job(route: str, **sent: Any) -> str:
        answer = client.post(route, headers=bearer(user), **sent)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        job_id: str = answer.get_json()["Job ID"]
        wait_for(services, job_id, State.SUCCEEDED)
        return job_id

    rows = f"date,{mark}\n2026-01-01,{mark}-row\nno day,{mark}-refused\n".encode()
    teams = f"team,members\n{mark}-team,{mark}-member\n".encode()
    jobs = [
        job("/uploadCSV", data={"file": (io.BytesIO(rows), f"{mark}.csv")}),
        job("/createBulkTeam", data={"file": (io.BytesIO(teams), f"{mark}.csv")}),
        job("/exportData", json={"from": "2026-01-01", "to": "2026-01-02"}),
    ]
    action = client.post("/jobs/actions", json={"action": "pause"}, headers=bearer(user)).get_json()["id"]
    return Owned(user, mark, jobs, action)


def test_neither_of_two_users_sees_anything_of_the_other(app: Flask) -> None:
    owned = {user: made(app, user) for user in KEYS}

    def whole(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        with closing(ClosingIterator(app.wsgi_app(environ, start_response))) as pieces:
            return list(pieces)

    contract = schemathesis.openapi.from_wsgi("/openapi.json", whole, headers=bearer("ann"))
    asked = 0
    for user, other in (("ann", owned["bob"]), ("bob", owned["ann"])):
        ids = cycle([*other.jobs, *owned[user].jobs])
        for operation in contract.get_all_operations():
            asked += ask(operation.ok(), user, other, ids)
    assert asked > 200


def ask(operation: Any, user: str, other: Owned, ids: Iterator[str]) -> int:
    """Ask some requests as `user`; returns how many. What is deleted, or terminated, is the user's own."""
    count = 0

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def asked(case: schemathesis.Case) -> None:
        nonlocal count
        count += 1
        named = {"job_id": next(ids), "action_id": other.action}
        for name in named.keys() & case.path_parameters.keys():
            case.path_parameters[name] = named[name]
        said = {
            "id": next(ids),
            "job": next(ids),
            "paused_by": other.action,
            "user": other.user,
        }
        for place in (case.query, case.body if isinstance(case.body, dict) else {}):
            for name in said.keys() & place.keys():
                place[name] = said[name]
        if "unless" in case.query:
            case.query["wait"] = 0.1
        answer = case.call(headers=bearer(user))
        text = answer.content.decode("utf-8", "replace")
        assert other.mark not in text, (case.method, case.formatted_path, text[:500])
        # An id that the request has named may come back in what refuses it.
        told = [one for one in (*other.jobs, other.action) if one in text]
        assert answer.status_code >= 400 or told == [], (case.method, case.formatted_path, text[:500])
        assert other.mark not in str(answer.headers)

    asked()
    return count


def test_the_other_s_jobs_are_as_they_were(app: Flask) -> None:
    owned = {user: made(app, user) for user in KEYS}
    client = app.test_client()
    for job in owned["bob"].jobs:
        for request in (
            ("DELETE", f"/jobs/{job}"),
            ("POST", f"/jobs/{job}/rollback"),
            ("POST", f"/jobs/{job}/terminate"),
            ("POST", f"/updateTask?id={job}&action=terminate&rollback=true"),
        ):
            assert client.open(request[1], method=request[0], headers=bearer("ann")).status_code == 404
    before = {job: client.get(f"/jobs/{job}", headers=bearer("bob")).get_json() for job in owned["bob"].jobs}
    assert {job["state"] for job in before.values()} == {"succeeded"}
    assert not any(job["rolled_back"] for job in before.values())
