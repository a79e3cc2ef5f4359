"""A user who has too many jobs queued or too much stored is told which limit it is, and when to come back."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta
from io import BytesIO
from typing import Any, BinaryIO

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.clock import now
from jobsvc.jobs.states import State
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.queries.sharing import user_rows
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import CSV, assert_problem, held, part, send, submit_gated, upload, whole
from tests.support.stores import names
from tests.support.waiting import poll, wait_for

DATES = {"from": "2026-01-01", "to": "2026-01-31"}
FORM = whole(part("file", CSV, "x.csv"))
LARGE = b"date,n\n" + b"2026-01-01,1\n" * 100_000
USER = "Jon-Doe"

MakeApp = Callable[..., Flask]


class Unread(BytesIO):
    """A body that nobody may read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


def put(client: FlaskClient, body: bytes | BinaryIO, **how: Any) -> Any:
    return send(client, body, content_type="text/csv", **how)


def stored(services: Services) -> int:
    with services.results._database.read() as connection:
        return user_rows.stored_bytes(connection, USER)


def services_of(app: Flask) -> Services:
    found = app.extensions["jobsvc"]
    assert isinstance(found, Services)
    return found


WAYS: dict[str, Callable[[FlaskClient], Any]] = {
    "uploadCSV": lambda client: send(client, FORM),
    "createBulkTeam": lambda client: send(client, FORM, "/createBulkTeam"),
    "exportData": lambda client: client.post("/exportData", json=DATES),
    "kind with a file": lambda client: send(client, FORM, "/kinds/baselineCSV/jobs"),
    "kind without": lambda client: client.post("/kinds/createExport/jobs", json=DATES),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_make_a_job_tells_that_the_user_has_too_many_queued(
    make_app: MakeApp, gated: Gated, way: str
) -> None:
    app = make_app(max_running=1, user_max_queued=2)
    services, client = services_of(app), app.test_client()
    held(services, gated)
    for _ in range(2):
        submit_gated(services, user=USER)
    answer = WAYS[way](client)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) == 10
    text = answer.json.get("message") or answer.json["detail"]
    assert f"{USER} has 2 jobs queued, and each user may have 2 (JOBSVC_USER_MAX_QUEUED)" in text
    if way.startswith("kind"):
        found = assert_problem(answer, 429, "too-many-queued")
        assert (found["limit"], found["used"], found["allowed"]) == ("JOBSVC_USER_MAX_QUEUED", 2, 2)
    else:
        assert answer.json["errorType"] == "too_many_queued"
    assert names(services.files.directory) == []


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_make_a_job_tells_that_the_user_has_too_much_stored(make_app: MakeApp, way: str) -> None:
    app = make_app(user_max_stored_bytes=len(CSV))
    services, client = services_of(app), app.test_client()
    first = upload(client)
    answer = WAYS[way](client)
    assert answer.status_code == 507
    assert int(answer.headers["Retry-After"]) == 60
    text = answer.json.get("message") or answer.json["detail"]
    assert f"{len(CSV)} bytes" in text
    assert "(JOBSVC_USER_MAX_STORED_BYTES)" in text
    assert "DELETE /jobs/<id>" in text
    if way.startswith("kind"):
        assert answer.json["type"] == "urn:jobsvc:too-much-stored"
        assert (answer.json["used"], answer.json["allowed"]) == (len(CSV), len(CSV))
    else:
        assert answer.json["errorType"] == "too_much_stored"
    assert names(services.files.directory) == [f"{first}.input"]


def test_a_user_who_deletes_a_finished_job_may_upload_again(make_app: MakeApp) -> None:
    app = make_app(user_max_stored_bytes=len(CSV))
    services, client = services_of(app), app.test_client()
    first = upload(client)
    wait_for(services, first, "succeeded")
    assert send(client, FORM).status_code == 507
    assert client.delete(f"/jobs/{first}").status_code == 204
    assert send(client, FORM).status_code == 200


def test_what_retention_removes_counts_no_more(make_app: MakeApp) -> None:
    app = make_app(user_max_stored_bytes=len(CSV))
    services, client = services_of(app), app.test_client()
    services.pruner.shut_down(30)
    wait_for(services, upload(client), "succeeded")
    policy = RetentionPolicy(finished=None, files=timedelta(days=1), keys=timedelta(days=1))
    later = now() + timedelta(days=2)
    Retention(services.results._database, services.files, policy, lambda _: later).sweep()
    assert stored(services) == 0
    assert send(client, FORM).status_code == 200


@pytest.mark.parametrize("form", [True, False])
def test_a_file_that_says_that_it_is_too_large_is_refused_before_its_body_is_read(
    make_app: MakeApp, form: bool
) -> None:
    app = make_app(user_max_stored_bytes=1000)
    how = {} if form else {"content_type": "text/csv"}
    answer = send(app.test_client(), Unread(), length=600_000, **how)
    assert (answer.status_code, answer.get_json()["errorType"]) == (507, "too_much_stored")


def test_with_the_queue_full_the_body_is_not_read_either(make_app: MakeApp, gated: Gated) -> None:
    app = make_app(max_running=1, user_max_queued=1)
    held(services_of(app), gated)
    submit_gated(services_of(app), user=USER)
    answer = send(app.test_client(), Unread(), length=600_000)
    assert (answer.status_code, answer.get_json()["errorType"]) == (429, "too_many_queued")


SENT = {
    "in chunks": lambda client: put(client, LARGE, chunked=True),
    "in a form of chunks": lambda client: send(client, whole(part("file", LARGE, "x.csv")), chunked=True),
    # Whoever reads it to its end finds that the end is missing.
    "packed": lambda client: put(client, gzip.compress(LARGE)[:-8]),
    "as UTF-16": lambda client: put(client, LARGE[:80_000].decode().encode("utf-16"), chunked=True),
}


@pytest.mark.parametrize("how", SENT)
def test_a_file_that_turns_out_too_large_is_refused_as_it_comes_and_leaves_nothing(make_app: MakeApp, how: str) -> None:
    app = make_app(user_max_stored_bytes=100_000)
    answer = SENT[how](app.test_client())
    assert (answer.status_code, answer.get_json()["errorType"]) == (507, "too_much_stored")
    services = services_of(app)
    assert names(services.files.directory) == []
    assert stored(services) == 0


def test_a_file_counts_as_it_is_stored(make_app: MakeApp) -> None:
    app = make_app()
    wait_for(services_of(app), put(app.test_client(), gzip.compress(LARGE)).get_json()["Job ID"], "succeeded")
    assert stored(services_of(app)) == len(LARGE)


def test_an_export_counts_once_it_is_made_and_not_when_it_was_rolled_back(make_app: MakeApp) -> None:
    app = make_app()
    services, client = services_of(app), app.test_client()
    wait_for(services, upload(client), "succeeded")
    export = client.post("/exportData", json=DATES).get_json()["Job ID"]
    wait_for(services, export, "succeeded")
    size = len(client.get(f"/jobs/{export}/result").data)
    assert size > 0
    assert stored(services) == len(CSV) + size
    assert client.post(f"/jobs/{export}/rollback").status_code == 200
    assert stored(services) == len(CSV)


def test_a_check_is_applied_though_the_user_has_no_room_left_since_its_file_is_there(make_app: MakeApp) -> None:
    app = make_app(user_max_stored_bytes=len(CSV))
    services, client = services_of(app), app.test_client()
    checked = upload(client, dry_run="true")
    wait_for(services, checked, State.SUCCEEDED)
    applied = client.post(f"/jobs/{checked}/apply")
    assert applied.status_code == 201, applied.text
    wait_for(services, applied.get_json()["id"], State.SUCCEEDED)
    assert stored(services) == len(CSV)
    # The file is counted for the one that still needs it.
    assert client.delete(f"/jobs/{checked}").status_code == 204
    assert stored(services) == len(CSV)
    assert send(client, FORM).status_code == 507


def test_a_repeated_request_gets_its_job_though_the_user_has_reached_both_limits(
    make_app: MakeApp, gated: Gated
) -> None:
    app = make_app(max_running=1, user_max_queued=1, user_max_stored_bytes=len(CSV))
    services, client = services_of(app), app.test_client()
    held(services, gated)
    headers = {"Idempotency-Key": "once"}
    first = client.put("/uploadCSV", data=CSV, headers=headers).get_json()["Job ID"]
    assert client.put("/uploadCSV", data=CSV).status_code == 429
    again = client.put("/uploadCSV", data=CSV, headers=headers)
    assert (again.status_code, again.get_json()) == (200, {"Job ID": first})
    assert names(services.files.directory) == [f"{first}.input"]


def test_a_refused_upload_leaves_its_line_in_the_audit(make_app: MakeApp) -> None:
    app = make_app(user_max_stored_bytes=5)
    client = app.test_client()
    assert send(client, FORM).status_code == 507

    def line() -> Any:
        lines = client.get("/audit?action=job.create").get_json()["lines"]
        return lines[0] if lines else None

    poll(lambda: line() is not None, 30, "the line of the audit")
    found = line()
    assert (found["outcome"], found["status"], found["problem"]) == ("refused", 507, "too_much_stored")
