"""What clients and jobs see of a store of files that does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.clock import now
from jobsvc.files.remote import store as remote_store
from jobsvc.files.tidying import tidy_strays
from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.fake_remote import FakeRemote, down
from tests.support.gated import Gated
from tests.support.requests import CSV, assert_problem, part, send, submit_gated, upload, whole
from tests.support.stores import FAKE, stored
from tests.support.waiting import TIMEOUT, wait_for

pytestmark = pytest.mark.stores(FAKE)

JANUARY = {"from": "2026-01-01", "to": "2026-01-31"}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_store, "FIRST_DELAY_SECONDS", 0)


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
    assert services.jobs.page(limit=1).jobs == []
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
    assert len(services.files.job_ids()) == 1


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
    assert tidy_strays(services.jobs.lookup._database, services.files, now()).removed == [f"{job_id}/input"]


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


@pytest.fixture
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has noticed that the store is down waits until it is stopped."""
    monkeypatch.setattr(remote_store, "FIRST_DELAY_SECONDS", 10 * TIMEOUT)
    monkeypatch.setattr(remote_store, "MAX_DELAY_SECONDS", 10 * TIMEOUT)


def start_export(client: FlaskClient) -> str:
    job_id: str = client.post("/exportData", json=JANUARY).get_json()["Job ID"]
    return job_id


# While it stores what it has made so far, and while it puts the parts together at the end.
AWAY = pytest.mark.parametrize("what", ["put", "begin"])


@pytest.mark.usefixtures("_long_pauses")
@AWAY
@pytest.mark.parametrize(("action", "ends"), [("pause", State.PAUSED), ("terminate", State.TERMINATED)])
def test_a_stop_is_obeyed_also_by_a_run_that_waits_for_the_store(
    client: FlaskClient,
    services: Services,
    imported: str,
    what: str,
    action: str,
    ends: State,
) -> None:
    with down(what, "find") as asked:
        job_id = start_export(client)
        assert asked.acquire(timeout=TIMEOUT)
        answer = client.post(f"/jobs/{job_id}/{action}")
        assert (answer.status_code, answer.get_json()["state"]) == (200, ends)
        assert services.jobs.get(job_id).error is None
    if ends is State.PAUSED:
        client.post(f"/jobs/{job_id}/resume")
        wait_for(services, job_id, State.SUCCEEDED)
        assert client.get(f"/jobs/{job_id}/result").text.count(imported) == 2


@pytest.mark.usefixtures("_long_pauses")
@AWAY
def test_a_run_that_waits_for_the_store_when_the_service_ends_goes_on_at_the_next_start(
    make_app: Callable[..., Flask], what: str
) -> None:
    first = make_app()
    client = first.test_client()
    imported = upload(client)
    wait_for(first.extensions["jobsvc"], imported, State.SUCCEEDED)
    with down(what) as asked:
        job_id = start_export(client)
        assert asked.acquire(timeout=TIMEOUT)
        first.extensions["jobsvc"].close()
    second = make_app()
    left = second.extensions["jobsvc"].jobs.events(job_id)[2]
    assert (left["to"], left["who"]) == ("interrupted", "run")
    wait_for(second.extensions["jobsvc"], job_id, State.SUCCEEDED)
    assert second.test_client().get(f"/jobs/{job_id}/result").text.count(imported) == 2


@pytest.mark.usefixtures("_long_pauses")
def test_a_run_that_was_stopped_while_it_waited_goes_on_if_nobody_wants_that_any_more(
    client: FlaskClient, services: Services, imported: str
) -> None:
    with down("put") as asked:
        job_id = start_export(client)
        assert asked.acquire(timeout=TIMEOUT)
        job = services.jobs.get(job_id)
        # As a pause does whose job is resumed before its run has looked.
        assert services.jobs.steering._engine.signal(job.key, job.attempt)
        # Once more before it gives way, and then in another round.
        for _ in range(2):
            assert asked.acquire(timeout=TIMEOUT), "it did not try again"
        assert services.jobs.get(job_id).state is State.RUNNING
        client.post(f"/jobs/{job_id}/pause")
    client.post(f"/jobs/{job_id}/resume")
    wait_for(services, job_id, State.SUCCEEDED)


def test_terminating_a_job_that_does_not_run_needs_no_store(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = submit_gated(services)
    gated.gate.wait_reached(1)
    client.post(f"/jobs/{job_id}/pause?wait=0")
    gated.gate.open()
    wait_for(services, job_id, State.PAUSED)
    with down() as asked:
        answer = client.post(f"/jobs/{job_id}/terminate")
    assert (answer.status_code, answer.get_json()["state"]) == (200, "terminated")
    assert asked.acquire(blocking=False)


@pytest.fixture
def exported(client: FlaskClient, services: Services, imported: str) -> str:
    job_id = start_export(client)
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


def test_a_rollback_whose_store_stays_away_says_so_and_can_be_asked_for_again(
    client: FlaskClient, services: Services, exported: str
) -> None:
    with down("find"):
        client.post(f"/jobs/{exported}/rollback?wait=0")
        job = wait_for(services, exported, State.TERMINATED)
    assert not job.rolled_back
    assert str(job.error).startswith("the rollback failed: the store of the files does not answer")
    client.post(f"/jobs/{exported}/rollback")
    job = wait_for(services, exported, State.TERMINATED)
    assert job.rolled_back
    assert f"{exported}.output/result.1" not in stored(services.files)


@pytest.mark.usefixtures("_long_pauses")
def test_a_rollback_that_waits_for_the_store_when_the_service_ends_goes_on_at_the_next_start(
    make_app: Callable[..., Flask],
) -> None:
    client = make_app().test_client()
    first = client.application.extensions["jobsvc"]
    job_id = upload(client)
    wait_for(first, job_id, State.SUCCEEDED)
    with down("find") as asked:
        client.post(f"/jobs/{job_id}/rollback?wait=0")
        assert asked.acquire(timeout=TIMEOUT)
        first.close()
    second = make_app().extensions["jobsvc"]
    assert wait_for(second, job_id, State.TERMINATED).rolled_back


def test_a_start_does_not_need_the_store(make_app: Callable[..., Flask]) -> None:
    with down():
        client = make_app().test_client()
        assert client.get("/readyz").status_code == 200
    wait_for(client.application.extensions["jobsvc"], upload(client), State.SUCCEEDED)


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
