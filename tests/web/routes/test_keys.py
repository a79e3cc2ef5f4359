from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from tests.support.requests import assert_problem

ADMIN = {"Authorization": f"Bearer {'a' * 20}"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(api_keys=KeyRing.read(f"ada:{'a' * 20}:admin"))


def make(client: FlaskClient, **said: Any) -> Any:
    answer = client.post("/keys", json={"user": "ann", "role": "user", **said}, headers=ADMIN)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return answer.get_json()


def test_an_admin_makes_a_key_that_is_shown_once(client: FlaskClient) -> None:
    made = make(client, kinds=["bulkTeam"], expires="2999-12-31")
    assert (made["user"], made["role"], made["kinds"], made["created_by"]) == ("ann", "user", ["bulkTeam"], "ada")
    assert made["expires_at"] == "2999-12-31T23:59:59Z"
    assert client.get("/jobs", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 200
    listed = client.get("/keys", headers=ADMIN)
    assert [key["id"] for key in listed.get_json()["keys"]] == [made["id"]]
    assert made["key"] not in listed.get_data(as_text=True)


def test_an_admin_revokes_a_key_and_it_stays_in_the_list(client: FlaskClient) -> None:
    made = make(client)
    revoked = client.delete(f"/keys/{made['id']}", headers=ADMIN).get_json()
    assert revoked["revoked_at"] is not None
    assert client.get("/jobs", headers={"Authorization": f"Bearer {made['key']}"}).status_code == 401
    assert client.get("/keys", headers=ADMIN).get_json()["keys"] == [revoked]
    assert_problem(client.delete("/keys/nothing", headers=ADMIN), 404, "unknown-key")


def test_a_key_can_be_asked_for_by_a_form_with_kinds_between_commas(client: FlaskClient) -> None:
    said = {"user": "ann", "role": "viewer", "kinds": "bulkTeam, createExport"}
    assert client.post("/keys", data=said, headers=ADMIN).get_json()["kinds"] == ["bulkTeam", "createExport"]


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    ("said", "detail"),
    [
        ({"user": None}, "user: it must be the name of its user"),
        ({"user": "a/b"}, "'a/b' can't be a user's name: it must be 1 to 64"),
        ({"role": None}, "role: it must be one of viewer, user, operator, admin"),
        ({"role": "king"}, "'king' must be one of viewer, user, operator, admin"),
        ({"kinds": []}, "kinds: it must be a list of kinds"),
        ({"kinds": 7}, "kinds: it must be a list of kinds"),
        ({"expires": "soon"}, "expires: 'soon' must be a day, YYYY-MM-DD"),
        ({"expires": "2001-01-01"}, "2001-01-01T23:59:59Z is over already"),
        ({"admin": True}, "admin: "),
    ],
)
def test_a_key_that_cannot_be_meant_is_refused_by_name(client: FlaskClient, said: dict[str, Any], detail: str) -> None:
    answer = client.post("/keys", json={"user": "ann", "role": "user", **said}, headers=ADMIN)
    assert detail in assert_problem(answer, 400, "invalid-parameter")["detail"]
    assert client.get("/keys", headers=ADMIN).get_json() == {"keys": []}


def test_a_kind_that_is_not_there_is_refused(client: FlaskClient) -> None:
    answer = client.post("/keys", json={"user": "ann", "role": "user", "kinds": ["none"]}, headers=ADMIN)
    assert "there is no kind 'none'; there are " in assert_problem(answer, 404, "unknown-kind")["detail"]


def test_a_moment_of_expiry_may_have_a_zone(client: FlaskClient) -> None:
    made = make(client, expires="2999-01-01T00:00:00+02:00")
    assert datetime.fromisoformat(made["expires_at"]) == datetime(2998, 12, 31, 22, tzinfo=UTC)
