"""DELETE /jobs/<id>, and what the routes say of jobs and files that were removed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Event

import pytest
from flask.testing import FlaskClient

from jobsvc.clock import now
from jobsvc.jobs.states import State
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.database import Database
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import BOUNDARY, CSV, assert_problem, held, part, submit_gated, told, upload, whole
from tests.support.stores import names
from tests.support.waiting import TIMEOUT, wait_for

pytestmark = pytest.mark.both_databases

TEAMS = b"team,members\nred,Ann;Bob\nblue,Cid\n"


def made(client: FlaskClient, services: Services, content: bytes = CSV, route: str = "/uploadCSV") -> str:
    job_id = upload(client, content, route)
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


def export(client: FlaskClient, services: Services, **more: str) -> str:
    answer = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-02", **more})
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json["Job ID"]  # type: ignore[index]
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


@pytest.fixture
def files_removed(services: Services) -> Iterator[Retention]:
    """A sweep of it removes the files of every finished job."""
    database = Database(services.settings.url)
    terms = RetentionPolicy(finished=None, files=timedelta(0), keys=timedelta(hours=1))
    yield Retention(database, services.files, terms, lambda _: now() + timedelta(seconds=1))
    database.close()


def test_a_deleted_job_is_unknown_everywhere_and_its_files_are_gone(client: FlaskClient, services: Services) -> None:
    job_id, other = made(client, services), made(client, services)
    answer = client.delete(f"/jobs/{job_id}")
    assert (answer.status_code, answer.data) == (204, b"")
    for path in ("", "/events", "/failed", "/unprocessed", "/result"):
        assert_problem(client.get(f"/jobs/{job_id}{path}"), 404, "unknown-job")
    for path in ("pause", "resume", "terminate", "rollback"):
        assert_problem(client.post(f"/jobs/{job_id}/{path}"), 404, "unknown-job")
    assert client.get(f"/updateTask?id={job_id}&action=start").status_code == 404
    assert [job["id"] for job in client.get("/jobs").json["jobs"]] == [other]  # type: ignore[index]
    assert names(services.files.directory) == [f"{other}.input"]


def test_what_it_made_can_still_be_read_by_its_id(client: FlaskClient, services: Services) -> None:
    job_id, teams = made(client, services), made(client, services, TEAMS, "/createBulkTeam")
    before = client.get(f"/records?job={job_id}").json, client.get(f"/teams?job={teams}").json
    assert len(before[0]["records"]) == len(before[1]["teams"]) == 2  # type: ignore[index]
    for deleted in (job_id, teams):
        client.delete(f"/jobs/{deleted}")
    assert (client.get(f"/records?job={job_id}").json, client.get(f"/teams?job={teams}").json) == before
    assert client.get("/records").json == before[0]
    assert_problem(client.get("/records?job=never"), 404, "unknown-job")


def test_exports_still_cover_it(client: FlaskClient, services: Services) -> None:
    job_id = made(client, services)
    client.delete(f"/jobs/{job_id}")
    expected = f"_job_id,_row,_date,date,n\n{job_id},1,2026-01-01,2026-01-01,1\n{job_id},2,2026-01-02,2026-01-02,2\n"
    for more in ({}, {"job": job_id}):
        assert client.get(f"/jobs/{export(client, services, **more)}/result").text == expected
    body = {"from": "2026-01-01", "to": "2026-01-02", "job": "never"}
    assert told(client.post("/exportData", json=body)) == (400, "invalid_job")


def test_deleting_twice_is_a_404_and_so_is_a_job_that_never_was(client: FlaskClient, services: Services) -> None:
    job_id = made(client, services)
    assert client.delete(f"/jobs/{job_id}").status_code == 204
    assert_problem(client.delete(f"/jobs/{job_id}"), 404, "unknown-job")
    assert_problem(client.delete("/jobs/never"), 404, "unknown-job")


def test_a_job_that_is_not_finished_can_not_be_deleted(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    found = assert_problem(client.delete(f"/jobs/{job_id}"), 409, "not-allowed-now")
    assert found["state"] == "running"
    gated.gate.open()
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.delete(f"/jobs/{job_id}").status_code == 204


@pytest.mark.parametrize("state", [State.FAILED, State.TERMINATED])
def test_failed_and_terminated_jobs_can_be_deleted(
    client: FlaskClient, services: Services, gated: Gated, state: State
) -> None:
    if state is State.FAILED:
        gated.gate.open()
        job_id = submit_gated(services, fail_at=1)
    else:
        job_id = held(services, gated)
        gated.gate.open(1)
        client.post(f"/jobs/{job_id}/terminate")
        gated.gate.open()
    wait_for(services, job_id, state)
    assert client.delete(f"/jobs/{job_id}").status_code == 204


def test_while_it_is_rolled_back_a_job_can_not_be_deleted(
    client: FlaskClient, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, go_on = Event(), Event()

    def remove_output(_: str, **__: object) -> None:
        reached.set()
        assert go_on.wait(TIMEOUT)

    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    # The last step of a rollback, outside of every transaction.
    monkeypatch.setattr(services.files, "remove_output", remove_output)
    client.post(f"/jobs/{job_id}/rollback?wait=0")
    assert reached.wait(TIMEOUT)
    found = assert_problem(client.delete(f"/jobs/{job_id}"), 409, "not-allowed-now")
    assert found["state"] == "terminating"
    go_on.set()
    wait_for(services, job_id, State.TERMINATED)
    assert client.delete(f"/jobs/{job_id}").status_code == 204


def test_a_deleted_job_is_not_returned_for_its_idempotency_key(client: FlaskClient, services: Services) -> None:
    def send() -> str:
        body = whole(part("file", CSV, "x.csv"))
        answer = client.post(
            "/uploadCSV",
            data=body,
            content_type=f"multipart/form-data; boundary={BOUNDARY}",
            headers={"Idempotency-Key": "k"},
        )
        job_id: str = answer.json["Job ID"]  # type: ignore[index]
        wait_for(services, job_id, State.SUCCEEDED)
        return job_id

    first = send()
    assert send() == first
    client.delete(f"/jobs/{first}")
    assert send() != first


def test_files_that_were_removed_on_purpose_are_gone(
    client: FlaskClient, services: Services, files_removed: Retention
) -> None:
    source = made(client, services)
    exported = export(client, services)
    files_removed.sweep()
    for path in (f"{source}/failed", f"{source}/unprocessed", f"{exported}/result"):
        found = assert_problem(client.get(f"/jobs/{path}"), 410, "files-removed")
        assert "were removed at" in found["detail"]
    assert client.get(f"/jobs/{source}").json["state"] == "succeeded"  # type: ignore[index]
    assert len(client.get(f"/records?job={source}").json["records"]) == 2  # type: ignore[index]


def test_resuming_a_failed_job_without_its_files_is_a_conflict(
    client: FlaskClient, services: Services, files_removed: Retention
) -> None:
    job_id = upload(client, b"n,m\n1\n")
    wait_for(services, job_id, State.FAILED)
    files_removed.sweep()
    found = assert_problem(client.post(f"/jobs/{job_id}/resume"), 409, "not-allowed-now")
    assert "its files were removed" in found["detail"]
    assert client.delete(f"/jobs/{job_id}").status_code == 204
