"""What clients and jobs see of a store of files that does not answer."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.jobs.states import State
from jobsvc.store import remote_store
from jobsvc.web.services import Services
from tests.support.fake_remote import FakeRemote, down
from tests.support.stores import FAKE, stored
from tests.support.waiting import wait_for
from tests.web.requests import CSV, assert_problem, part, send, upload, whole

pytestmark = pytest.mark.stores(FAKE)

JANUARY = {"from": "2026-01-01", "to": "2026-01-31"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_store, "FIRST_PAUSE_SECONDS", 0)


def assert_down(answer: TestResponse) -> None:
    assert_problem(answer, 503, "files-down")
    assert int(answer.headers["Retry-After"]) > 0
    assert "it does not answer" not in answer.text


@pytest.mark.parametrize("what", ["info", "begin", "piece", "complete"])
def test_an_upload_that_can_not_be_stored_is_told_when_to_try_again_and_leaves_nothing(
    client: FlaskClient, services: Services, what: str
) -> None:
    with down(what):
        assert_down(send(client, whole(part("file", CSV, "x.csv"))))
    assert stored(services.files) == {}
    assert FakeRemote.unfinished == set()
    assert services.jobs.page(limit=1, after=None, state=None, kind=None, user=None)[0] == []
    wait_for(services, upload(client), State.SUCCEEDED)


def test_an_upload_that_can_not_be_looked_at_any_more_is_told_so_and_removed(
    client: FlaskClient, services: Services
) -> None:
    with down("get"):
        assert_down(send(client, whole(part("file", CSV, "x.csv"))))
    assert stored(services.files) == {}


def test_an_upload_that_is_refused_is_refused_also_if_it_can_not_be_removed(
    client: FlaskClient, services: Services
) -> None:
    with down("delete"):
        answer = send(client, whole(part("max_failed", b"many"), part("file", CSV, "x.csv")))
    assert answer.status_code == 400
    assert services.files.remove_strays(()) != []


@pytest.mark.parametrize("what", ["result", "failed", "unprocessed"])
def test_a_download_is_told_when_to_try_again(client: FlaskClient, services: Services, what: str) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    if what == "result":
        job_id = client.post("/exportData", json=JANUARY).get_json()["Job ID"]
        wait_for(services, job_id, State.SUCCEEDED)
    with down():
        assert_down(client.get(f"/jobs/{job_id}/{what}"))
    assert client.get(f"/jobs/{job_id}/{what}").status_code == 200


def test_deleting_a_job_whose_files_can_not_be_removed_leaves_strays(client: FlaskClient, services: Services) -> None:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    with down():
        assert_down(client.delete(f"/jobs/{job_id}"))
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert services.files.remove_strays(()) == [f"{job_id}/input"]


@pytest.fixture
def imported(client: FlaskClient, services: Services) -> str:
    job_id = upload(client)
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


@pytest.mark.parametrize("what", ["put", "begin", "complete", "find"])
def test_an_export_whose_store_stays_away_fails_and_can_be_resumed(
    client: FlaskClient, services: Services, imported: str, what: str
) -> None:
    with down(what):
        job_id = client.post("/exportData", json=JANUARY).get_json()["Job ID"]
        job = wait_for(services, job_id, State.FAILED)
    assert "the store of the files does not answer" in str(job.error)
    assert client.post(f"/jobs/{job_id}/resume").status_code == 200
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.get(f"/jobs/{job_id}/result").text.count(imported) == 2
    services.close()
    assert len(stored(services.files)) == 2


def test_an_import_whose_store_stays_away_fails_and_can_be_resumed(
    app: Flask, client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Any = services.files.open_input

    def open_input(*given: Any, stopped: Any = None, **more: Any) -> Any:
        if stopped is None:
            return opened(*given, **more)
        with down("info"):
            return opened(*given, stopped=stopped, **more)

    with monkeypatch.context() as patch:
        patch.setattr(services.files, "open_input", open_input)
        job_id = upload(client)
        job = wait_for(services, job_id, State.FAILED)
    assert "the store of the files does not answer" in str(job.error)
    client.post(f"/jobs/{job_id}/resume")
    assert wait_for(services, job_id, State.SUCCEEDED).done == 2


def test_a_job_that_has_succeeded_has_also_if_its_parts_can_not_be_removed(
    client: FlaskClient, services: Services, imported: str
) -> None:
    with down("delete"):
        job_id = client.post("/exportData", json=JANUARY).get_json()["Job ID"]
        wait_for(services, job_id, State.SUCCEEDED)
        services.close()
    assert client.get(f"/jobs/{job_id}/result").text.count(imported) == 2
    services.files.remove(job_id)
    assert list(stored(services.files)) == [f"{imported}.input"]
