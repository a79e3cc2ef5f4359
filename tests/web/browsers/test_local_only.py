"""Who is served."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.web.services import Services
from tests.support.requests import CSV, assert_problem, part, whole
from tests.support.stores import names

STRANGERS = ["10.0.0.1", "192.168.1.5", "8.8.8.8", "fe80::1", "2001:db8::1", "no address"]
NEIGHBOURS = ["127.0.0.1", "127.8.8.8", "::1", ""]


def test_every_route_refuses_strangers(shared_client: FlaskClient) -> None:
    refused = 0
    for rule in shared_client.application.url_map.iter_rules():
        path = rule.rule.replace("<job_id>", "x").replace("<path:filename>", "x")
        for method in rule.methods or ():
            answer = shared_client.open(path, method=method, environ_base={"REMOTE_ADDR": "10.0.0.1"})
            assert answer.status_code == 403, f"{method} {path}"
            refused += 1
    assert refused > 20


@pytest.mark.parametrize("address", STRANGERS)
def test_a_stranger_is_told_how_to_be_let_in(shared_client: FlaskClient, address: str) -> None:
    found = assert_problem(shared_client.get("/jobs", environ_base={"REMOTE_ADDR": address}), 403, "local-only")
    assert "JOBSVC_ALLOW_ANONYMOUS=1" in found["detail"]


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_this_machine_is_served(shared_client: FlaskClient, address: str) -> None:
    assert shared_client.get("/jobs", environ_base={"REMOTE_ADDR": address}).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Host"])
def test_a_stranger_who_claims_to_be_local_is_refused(shared_client: FlaskClient, header: str) -> None:
    answer = shared_client.get("/jobs", headers={header: "127.0.0.1"}, environ_base={"REMOTE_ADDR": "10.0.0.1"})
    assert_problem(answer, 403, "local-only")


def test_a_strangers_upload_leaves_neither_a_job_nor_a_file(client: FlaskClient, services: Services) -> None:
    answer = client.post(
        "/uploadCSV",
        data=whole(part("file", CSV, "x.csv")),
        content_type="multipart/form-data; boundary=the-boundary",
        environ_base={"REMOTE_ADDR": "10.0.0.1"},
    )
    assert_problem(answer, 403, "local-only")
    assert names(services.files.directory) == []
    assert client.get("/jobs").json == {"jobs": [], "next": None}


def test_strangers_are_served_where_anonymous_use_is_allowed(make_app: Callable[..., Flask]) -> None:
    client = make_app(allow_anonymous=True).test_client()
    for address in STRANGERS + NEIGHBOURS:
        assert client.get("/jobs", environ_base={"REMOTE_ADDR": address}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "10.0.0.1", "127.0.0.1.evil.example", ""])
def test_a_name_that_was_made_to_point_to_this_machine_is_refused(shared_client: FlaskClient, host: str) -> None:
    assert_problem(shared_client.get("/jobs", headers={"Host": host}), 403, "local-only")


@pytest.mark.parametrize("host", ["localhost", "localhost:8081", "127.0.0.1:8081", "[::1]:8081"])
def test_this_machine_s_own_names_are_served(shared_client: FlaskClient, host: str) -> None:
    assert shared_client.get("/jobs", headers={"Host": host}).status_code == 200


def test_another_site_s_page_may_not_steer(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/updateTask?id=x&action=stop", headers={"Sec-Fetch-Site": "cross-site"})
    assert_problem(answer, 403, "local-only")
