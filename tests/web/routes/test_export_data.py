"""POST /exportData."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import held, submit_gated, told, upload
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

JULY = {"from": "2018-07-01", "to": "2018-08-01"}

MISSING = object()


def test_an_export_is_answered_with_the_id_of_its_job(client: FlaskClient, services: Services) -> None:
    answer = client.post("/exportData", json=JULY)
    assert answer.status_code == 200
    assert isinstance(answer.json, dict)
    assert list(answer.json) == ["Job ID"]
    assert re.fullmatch(r"Jon-Doe-createExport-\d{10}-\d+", answer.json["Job ID"])
    job = wait_for(services, answer.json["Job ID"], State.SUCCEEDED)
    assert job.params == JULY | {"for_spreadsheet": False}
    assert job.done == 32


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", None],
)
def test_the_body_is_read_as_json_whatever_the_content_type_says(
    client: FlaskClient, services: Services, content_type: str | None
) -> None:
    answer = client.post("/exportData", data=json.dumps(JULY), content_type=content_type)
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json, dict)
    assert services.jobs.get(answer.json["Job ID"]).params == JULY | {"for_spreadsheet": False}


def test_an_export_of_a_single_day_exports_that_day(client: FlaskClient, services: Services) -> None:
    answer = client.post("/exportData", json={"from": "2018-07-01", "to": "2018-07-01"})
    assert isinstance(answer.json, dict)
    assert wait_for(services, answer.json["Job ID"], State.SUCCEEDED).done == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"from=2018-07-01", b"\xff\xfe\xfd", b"[]", b'"text"', b"null", b"7", b"[" * 60_000],
    ids=["empty", "cut off", "a form", "no text", "list", "string", "null", "number", "nested too deeply"],
)
def test_a_body_that_is_no_json_object_is_invalid_json(shared_client: FlaskClient, body: bytes) -> None:
    answer = shared_client.post("/exportData", data=body)
    assert told(answer) == (400, "invalid_json")


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("value", [MISSING, None, "", 20180701, True, ["2018-07-01"], {"day": 1}])
@pytest.mark.parametrize("other", ["2018-07-15", "not a date"])
def test_a_date_that_is_missing_or_empty_or_no_string_is_invalid_json(
    shared_client: FlaskClient, name: str, value: Any, other: str
) -> None:
    """Whatever the other one is, and whichever comes first."""
    body = {field: other for field in JULY if field != name} | ({} if value is MISSING else {name: value})
    answer = shared_client.post("/exportData", json=body)
    assert told(answer) == (400, "invalid_json")


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    "value",
    ["July", "2018-7-1", "20180701", "2018-W26-7", "2018-02-29", "2018-07-01T00:00:00", " 2018-07-01", "\ud800", " "],
    ids=repr,
)
def test_a_string_that_is_not_of_the_form_yyyy_mm_dd_is_an_invalid_date(
    shared_client: FlaskClient, name: str, value: str
) -> None:
    answer = shared_client.post("/exportData", json=JULY | {name: value})
    assert told(answer) == (400, f"invalid_{name}_date")


def test_of_two_invalid_dates_the_first_is_told(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/exportData", json={"from": "July", "to": "August"})
    assert told(answer) == (400, "invalid_from_date")


def test_a_range_that_ends_before_it_begins_is_invalid(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/exportData", json={"from": "2018-08-01", "to": "2018-07-31"})
    assert told(answer) == (400, "invalid_date_range")


def test_a_refused_export_makes_no_job(client: FlaskClient) -> None:
    client.post("/exportData", json={"from": "2018-08-01", "to": "2018-07-31"})
    client.post("/exportData", data=b"{")
    listing = client.get("/jobs").json
    assert isinstance(listing, dict)
    assert listing["jobs"] == []


def test_an_export_can_be_limited_to_one_job(client: FlaskClient, services: Services) -> None:
    upload(client)
    mine = upload(client)
    answer = client.post("/exportData", json=JULY | {"job": mine})
    assert isinstance(answer.json, dict)
    assert services.jobs.get(answer.json["Job ID"]).params == JULY | {"job": mine, "for_spreadsheet": False}


@pytest.mark.parametrize("job", ["unknown", "", 7, ["x"], "\ud800"], ids=repr)
def test_an_export_of_a_job_that_does_not_exist_is_refused(shared_client: FlaskClient, job: Any) -> None:
    answer = shared_client.post("/exportData", json=JULY | {"job": job})
    assert told(answer) == (400, "invalid_job")


def test_a_body_beyond_measure_is_refused(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/exportData", data=json.dumps(JULY | {"padding": "x" * 1_000_000}))
    assert answer.status_code == 413


def test_an_export_beyond_the_queue_is_told_when_to_try_again(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=1, max_queued=1)
    held(app.extensions["jobsvc"], gated)
    submit_gated(app.extensions["jobsvc"])
    answer = app.test_client().post("/exportData", json=JULY)
    assert told(answer) == (503, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0
