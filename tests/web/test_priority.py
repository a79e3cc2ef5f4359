"""The option `priority` of every job, and who may ask for which."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from jobsvc.kinds import KindParams
from jobsvc.kinds.registry import KindError, load_kinds
from tests.support.gated import Gated
from tests.support.requests import assert_problem

CSV = b"day,n\n2026-01-01,1\n"
DATES = {"from": "2026-01-01", "to": "2026-01-02"}

KEYS = {role: f"key-of-the-{role}-{'0' * 16}" for role in ("user", "operator", "admin")}


def form(client: FlaskClient, priority: str, **how: Any) -> Any:
    return client.post("/uploadCSV", data={"file": (io.BytesIO(CSV), "a.csv"), "priority": priority}, **how)


def query(client: FlaskClient, priority: str, **how: Any) -> Any:
    return client.put("/uploadCSV", query_string={"priority": priority}, data=CSV, **how)


def of_kind(client: FlaskClient, priority: str, **how: Any) -> Any:
    return client.put("/kinds/baselineCSV/jobs", query_string={"priority": priority}, data=CSV, **how)


def export(client: FlaskClient, priority: str, **how: Any) -> Any:
    return client.post("/exportData", json={**DATES, "priority": priority}, **how)


def export_of_kind(client: FlaskClient, priority: str, **how: Any) -> Any:
    return client.post("/kinds/createExport/jobs", json={**DATES, "priority": priority}, **how)


def ids(client: FlaskClient) -> list[str]:
    return [job["id"] for job in client.get("/jobs?limit=1000").json["jobs"]]  # type: ignore[index]


WAYS = pytest.mark.parametrize("way", [form, query, of_kind, export, export_of_kind])
Way = Callable[..., Any]


@pytest.mark.in_one_app
@WAYS
@pytest.mark.parametrize(("given", "told"), [("low", "low"), ("high", "high"), ("", "normal")])
def test_every_way_to_create_a_job_takes_a_priority(
    shared_client: FlaskClient, way: Way, given: str, told: str
) -> None:
    answer = way(shared_client, given)
    assert answer.status_code in (200, 201, 202), answer.text
    job_id = answer.json.get("Job ID") or answer.json["id"]
    assert shared_client.get(f"/jobs/{job_id}").json["priority"] == told  # type: ignore[index]
    (listed,) = [job for job in shared_client.get("/jobs").json["jobs"] if job["id"] == job_id]  # type: ignore[index]
    assert listed["priority"] == told


@WAYS
def test_another_priority_is_refused_by_name(shared_client: FlaskClient, way: Way) -> None:
    before = ids(shared_client)
    answer = way(shared_client, "urgent")
    assert answer.status_code == 400
    assert "must be one of low, normal, high" in answer.text
    assert answer.json.get("errorType", "invalid_priority") == "invalid_priority"
    assert ids(shared_client) == before


@WAYS
def test_a_role_says_up_to_which_priority(make_app: Callable[..., Flask], way: Way) -> None:
    ring = ",".join(f"the-{role}:{key}:{role}" for role, key in KEYS.items())
    client = make_app(api_keys=KeyRing.read(ring)).test_client()
    for role, key in KEYS.items():
        headers = {"Authorization": f"Bearer {key}"}
        for priority in ("low", "normal", "high"):
            answer = way(client, priority, headers=headers)
            if (role, priority) == ("user", "high"):
                said = assert_problem(answer, 403, "not-permitted")["detail"]
                assert "up to normal, and not high; the roles that may: operator, admin" in said
            else:
                assert answer.status_code in (200, 201, 202), answer.text
    listed = client.get("/jobs", headers={"Authorization": f"Bearer {KEYS['admin']}"}).json["jobs"]  # type: ignore[index]
    assert len(listed) == 8


def test_a_kind_can_have_no_parameter_of_that_name() -> None:
    class Params(KindParams):
        priority: int = 0

    class Urgent(Gated):
        name = "urgent"

    Urgent.Params = Params  # type: ignore[assignment]
    with pytest.raises(KindError, match=r"every job has priority: its `Params` can have none of that name"):
        load_kinds([], [Urgent()])
