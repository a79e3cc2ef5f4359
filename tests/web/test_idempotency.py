"""A request that is sent again with its Idempotency-Key makes nothing new."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from werkzeug.test import TestResponse

from jobsvc.clock import now
from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.store.tables import idempotency_keys
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import CSV, assert_problem, held
from tests.support.stores import names
from tests.support.waiting import TIMEOUT, wait_for

pytestmark = pytest.mark.both_databases

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
JULY = {"from": "2026-07-01", "to": "2026-07-31"}


def send(
    client: FlaskClient, content: bytes = CSV, key: str | None = KEY, route: str = "/uploadCSV", **form: str
) -> TestResponse:
    name = form.pop("name", "x.csv")
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(route, data={**form, "file": (io.BytesIO(content), name)}, headers=headers)


def export(client: FlaskClient, key: str = KEY, **more: str) -> TestResponse:
    return client.post("/exportData", json={**JULY, **more}, headers={"Idempotency-Key": key})


def job_of(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.get_json()
    return found["Job ID"]


def files(services: Services) -> list[str]:
    return names(services.files.directory)


def jobs(client: FlaskClient) -> list[str]:
    return [job["id"] for job in client.get("/jobs?limit=1000").get_json()["jobs"]]


def test_two_hundred_identical_uploads_at_once_make_one_job_and_leave_one_file(
    client: FlaskClient, services: Services
) -> None:
    together = Barrier(20)

    def upload(number: int) -> str:
        if number < 20:
            together.wait(TIMEOUT)
        return job_of(send(client.application.test_client()))

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(upload, range(200)))
    (job_id,) = ids
    assert jobs(client) == [job_id]
    assert files(services) == [f"{job_id}.input"]
    assert wait_for(services, job_id, State.SUCCEEDED).done == 2
    assert len(client.get("/records?limit=1000").get_json()["records"]) == 2
    assert len(services.jobs.events(job_id)) == 3


def test_without_a_key_or_with_another_each_upload_makes_a_job(client: FlaskClient, services: Services) -> None:
    ids = [job_of(send(client, key=key)) for key in (None, None, KEY, KEY + "2")]
    assert len(set(ids)) == 4
    assert files(services) == sorted(f"{job_id}.input" for job_id in ids)


@pytest.mark.parametrize(
    "again", [{"name": "renamed.csv"}, {"content": gzip.compress(CSV), "name": "x.csv.gz"}], ids=["name", "gzip"]
)
def test_what_the_file_is_called_and_how_it_was_packed_does_not_make_it_another(
    client: FlaskClient, services: Services, again: dict[str, Any]
) -> None:
    first = job_of(send(client))
    assert job_of(send(client, **again)) == first
    assert files(services) == [f"{first}.input"]


@pytest.mark.parametrize(
    "other",
    [
        {"content": CSV + b"2026-01-03,3\n"},
        {"content": CSV[:-1]},
        {"delimiter": ";"},
        {"date_column": "n"},
        {"callback_url": "https://1.1.1.1/"},
        {"priority": "high"},
        {"route": "/createBulkTeam"},
        {"route": "/kinds/bulkTeam/jobs"},
    ],
    ids=[
        "a row more",
        "a byte less",
        "an option",
        "another option",
        "a callback",
        "a priority",
        "another kind",
        "another kind's route",
    ],
)
def test_the_key_of_another_request_is_refused_and_leaves_nothing(
    client: FlaskClient, services: Services, other: dict[str, Any]
) -> None:
    first = job_of(send(client))
    problem = assert_problem(send(client, **other), 422, "idempotency-key-reused")
    assert KEY in problem["detail"]
    assert jobs(client) == [first]
    assert files(services) == [f"{first}.input"]
    assert job_of(send(client)) == first


def test_the_key_of_an_upload_is_refused_for_an_export_and_the_other_way_round(
    client: FlaskClient, services: Services
) -> None:
    upload_id, export_id = job_of(send(client)), job_of(export(client, "another"))
    assert_problem(export(client), 422, "idempotency-key-reused")
    assert_problem(send(client, key="another"), 422, "idempotency-key-reused")
    assert sorted(jobs(client)) == sorted([upload_id, export_id])


def test_exports_have_keys_too(client: FlaskClient) -> None:
    first = job_of(export(client))
    assert job_of(export(client)) == first
    assert_problem(export(client, to="2026-08-01"), 422, "idempotency-key-reused")
    assert jobs(client) == [first]


def test_both_routes_of_a_kind_make_the_same_request(client: FlaskClient) -> None:
    first = job_of(send(client))
    answer = send(client, route="/kinds/baselineCSV/jobs")
    assert (answer.status_code, answer.get_json()["id"]) == (201, first)
    assert answer.headers["Location"] == f"/jobs/{first}"


def test_the_job_that_was_made_is_told_also_when_it_is_over_or_the_queue_is_full(
    make_app: Callable[..., Flask], gated: Gated
) -> None:
    app = make_app(max_running=1, max_queued=1)
    services: Services = app.extensions["jobsvc"]
    client = app.test_client()
    held(services, gated)
    first = job_of(send(client))
    assert send(client, key="new").status_code == 503
    assert job_of(send(client)) == first
    gated.gate.open()
    wait_for(services, first, State.SUCCEEDED)
    assert job_of(send(client)) == first
    assert files(services) == [f"{first}.input"]


def test_a_request_that_was_refused_has_not_used_its_key(client: FlaskClient, services: Services) -> None:
    assert send(client, date_column="missing").status_code == 400
    assert send(client, b"").status_code == 400
    assert job_of(send(client))


def let_pass(services: Services, time: timedelta) -> None:
    """Make it that much longer since keys were first used."""
    database = Database(services.settings.url)
    with database.write() as connection:
        first_used = now() - time
        connection.execute(update(idempotency_keys).values(created_at=first_used))
    database.close()


def test_a_key_is_forgotten_after_its_time(client: FlaskClient, services: Services) -> None:
    hours = services.settings.idempotency_hours
    first = job_of(send(client))
    let_pass(services, timedelta(hours=hours, seconds=-60))
    assert job_of(send(client)) == first
    let_pass(services, timedelta(hours=hours, seconds=60))
    second = job_of(send(client, CSV + b"2026-01-03,3\n"))
    assert second != first
    assert job_of(send(client, CSV + b"2026-01-03,3\n")) == second
    assert_problem(send(client), 422, "idempotency-key-reused")


@pytest.mark.postgresql_only
@pytest.mark.parametrize("wrong", [timedelta(days=400), timedelta(days=-400)], ids=["ahead", "behind"])
def test_on_postgresql_a_web_server_with_a_wrong_clock_neither_forgets_a_key_nor_keeps_it_longer(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch, wrong: timedelta
) -> None:
    first = job_of(send(client))
    monkeypatch.setattr(services.jobs.submission, "_now", lambda: now() + wrong)
    assert job_of(send(client)) == first
    let_pass(services, timedelta(hours=services.settings.idempotency_hours, seconds=60))
    second = job_of(send(client))
    assert second != first
    monkeypatch.undo()
    assert job_of(send(client)) == second


def test_keys_are_remembered_by_the_next_process(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    first = job_of(send(app.test_client()))
    app.extensions["jobsvc"].close()
    assert job_of(send(make_app().test_client())) == first


@pytest.mark.in_one_app
@pytest.mark.parametrize("key", ["", "x" * 256, "é", "tab\there", "\x7f"])
def test_a_key_that_is_none_is_refused(client: FlaskClient, services: Services, key: str) -> None:
    allowed = "must be 1 to 255 printable ASCII characters"
    expected = {"errorType": "invalid_Idempotency-Key", "message": f"Idempotency-Key: {allowed}"}
    for answer in (send(client, key=key), export(client, key)):
        assert (answer.status_code, answer.get_json()) == (400, expected)
    problem = assert_problem(send(client, key=key, route="/kinds/baselineCSV/jobs"), 400, "invalid-parameter")
    assert (problem["parameter"], problem["detail"]) == ("Idempotency-Key", f"Idempotency-Key: {allowed}")
    assert (jobs(client), files(services)) == ([], [])


@pytest.mark.parametrize("key", ["x", "x" * 255, '"quoted"', "with space"])
def test_a_key_may_be_any_other(client: FlaskClient, key: str) -> None:
    assert job_of(send(client, key=key)) == job_of(send(client, key=key))
