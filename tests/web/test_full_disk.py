"""A disk that is full, or nearly: what clients are told, and what jobs do until there is room."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from jobsvc.jobs.states import State
from jobsvc.runs import recording, room_gate
from jobsvc.store import readiness
from jobsvc.store.database import Database
from jobsvc.store.disk import room
from jobsvc.store.disk.room import Room
from jobsvc.web.services import Services
from tests.support.full_disk import full, full_for_new_files
from tests.support.gated import Gated
from tests.support.requests import CSV, assert_problem, held, meanwhile, part, send, submit_gated, upload, whole
from tests.support.waiting import TIMEOUT, poll, wait_for

MIB = 1024 * 1024
LEAST = 100 * MIB
ITEMS = 2000
BATCH = 1000

JANUARY = {"from": "2026-01-01", "to": "2026-01-31"}


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "FIRST_DELAY_SECONDS", 0.02)
    monkeypatch.setattr(room_gate, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(readiness, "GOOD_SECONDS", 0)
    # For good, until a test says that there is room again.
    monkeypatch.setattr(room, "FIRST_DELAY_SECONDS", 100 * TIMEOUT)


def database_of(services: Services) -> Database:
    return services.jobs.lookup._database


def room_of(services: Services) -> Room:
    found = services.shortage.__self__  # type: ignore[attr-defined]
    assert isinstance(found, Room)
    return found


def end_pause(services: Services) -> None:
    """What the time does: whoever waits looks for room again."""
    room_of(services)._full_until = 0.0


def rows(services: Services, job_id: str) -> list[int]:
    with database_of(services).read() as connection:
        query = "SELECT row FROM records WHERE job_key = (SELECT key FROM jobs WHERE id = ?) ORDER BY row"
        return list(connection.exec_driver_sql(query, (job_id,)).scalars())


def history(services: Services, job_id: str) -> list[tuple[str, str]]:
    return [(event["to"], event["why"]) for event in services.jobs.events(job_id)]


def test_a_run_that_finds_the_disk_full_waits_and_goes_on_by_itself(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated, count=ITEMS, batch=BATCH)
    with full(database_of(services), pages=2):
        gated.gate.open()
        wait_for(services, job_id, State.QUEUED)
        assert [why for to, why in history(services, job_id) if to in ("interrupted", "queued")][1:] == [
            "the disk is full; the run stopped at its checkpoint",
            "it goes on when there is room",
        ]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.get_json()["reason"]) == (503, "the disk is full")
        answer = client.post(f"/jobs/{job_id}/pause")
        assert (answer.status_code, answer.get_json()["state"]) == (200, "paused")
        answer = client.post(f"/jobs/{job_id}/resume")
        assert (answer.status_code, answer.get_json()["state"]) == (200, "queued")
        assert rows(services, job_id) == []
    end_pause(services)
    done = wait_for(services, job_id, State.SUCCEEDED)
    assert (done.done, done.attempt) == (ITEMS, 2)
    assert rows(services, job_id) == list(range(1, ITEMS + 1))
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(("action", "ends"), [("pause", State.PAUSED), ("terminate", State.TERMINATED)])
def test_what_is_asked_of_a_run_whose_commit_finds_no_room_is_obeyed(
    client: FlaskClient, services: Services, gated: Gated, action: str, ends: State
) -> None:
    job_id = held(services, gated, count=ITEMS, batch=BATCH)
    gated.gate.open(BATCH - 2)
    gated.gate.wait_reached(BATCH - 1)
    with full(database_of(services), pages=2):
        answer = client.post(f"/jobs/{job_id}/{action}?wait=0")
        assert answer.status_code == 202
        gated.gate.open()
        wait_for(services, job_id, ends)
    assert rows(services, job_id) == []


def test_a_rollback_works_on_a_full_disk(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services, count=3)
    wait_for(services, job_id, State.SUCCEEDED)
    with full(database_of(services)):
        room_of(services).note_full(urgent=False)
        client.post(f"/jobs/{job_id}/rollback")
        wait_for(services, job_id, State.TERMINATED)
    assert rows(services, job_id) == []


def test_new_work_is_told_that_the_disk_is_full(client: FlaskClient, services: Services) -> None:
    with full(database_of(services)):
        for _ in range(100):
            answer = client.post("/kinds/gated/jobs", json={"count": 1})
            if answer.status_code >= 400:
                break
    assert_problem(answer, 507, "disk-full")
    assert int(answer.headers["Retry-After"]) > 0


class Disk:
    """How much room a look finds."""

    def __init__(self) -> None:
        self.free = 10 * LEAST

    def __call__(self, _directory: object, _otherwise: int) -> int:
        return self.free


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(room, "_free", disk)
    monkeypatch.setattr(room, "LOOK_SECONDS", 0)
    return disk


@pytest.fixture
def small(disk: Disk, make_app: Callable[..., Flask]) -> FlaskClient:
    """A client of a service that wants `LEAST` bytes to stay free."""
    return make_app(min_free_bytes=LEAST).test_client()


def test_below_the_limit_runs_stop_at_their_checkpoint_and_go_on_when_there_is_room(
    small: FlaskClient, disk: Disk, gated: Gated
) -> None:
    services: Services = small.application.extensions["jobsvc"]
    job_id = held(services, gated, count=4)
    gated.gate.open(1)
    gated.gate.wait_reached(2)
    disk.free = LEAST - 1
    gated.gate.open(1)
    wait_for(services, job_id, State.QUEUED)
    assert rows(services, job_id) == [1, 2]
    to, why = history(services, job_id)[2]
    assert to == "interrupted"
    assert "nearly full: 99 MiB are free, and 100 MiB are to stay so (JOBSVC_MIN_FREE_BYTES)" in why
    ready = small.get("/readyz")
    assert ready.status_code == 503
    assert "nearly full" in ready.get_json()["reason"]
    # Steering and reading go on, and what takes little room can be asked for.
    assert small.post(f"/jobs/{job_id}/pause").get_json()["state"] == "paused"
    assert small.post(f"/jobs/{job_id}/resume").get_json()["state"] == "queued"
    export = small.post("/exportData", json=JANUARY).get_json()["Job ID"]
    # A little more than the limit is not enough.
    disk.free = LEAST + 1
    assert small.get("/readyz").status_code == 503
    assert services.jobs.get(job_id).state is State.QUEUED
    disk.free = 2 * LEAST
    gated.gate.open()
    done = wait_for(services, job_id, State.SUCCEEDED)
    assert (done.done, done.attempt, done.crashes) == (4, 2, 0)
    assert rows(services, job_id) == [1, 2, 3, 4]
    wait_for(services, export, State.SUCCEEDED)
    assert small.get("/readyz").status_code == 200


def test_below_the_limit_an_upload_is_told_so(small: FlaskClient, disk: Disk) -> None:
    services: Services = small.application.extensions["jobsvc"]
    disk.free = LEAST - 1
    # Another thread may be looking at what was free before: until it is done, its last answer stands.
    poll(lambda: services.shortage() is not None, TIMEOUT, "the shortage to be seen")
    answer = send(small, whole(part("file", CSV, "x.csv")))
    assert answer.status_code == 507
    assert answer.get_json()["errorType"] == "disk_full"
    assert "nearly full" in answer.get_json()["message"]
    assert int(answer.headers["Retry-After"]) > 0
    answer = send(small, whole(part("file", CSV, "x.csv")), "/kinds/baselineCSV/jobs")
    assert "nearly full" in assert_problem(answer, 507, "disk-full")["detail"]
    disk.free = 2 * LEAST
    wait_for(services, upload(small), State.SUCCEEDED)


def test_an_upload_that_would_fill_the_disk_is_broken_off(
    small: FlaskClient, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    services: Services = small.application.extensions["jobsvc"]
    create = services.files.create_input

    def create_and_fill(job_id: str) -> Any:
        disk.free = LEAST - 1
        return create(job_id)

    monkeypatch.setattr(services.files, "create_input", create_and_fill)
    assert send(small, whole(part("file", CSV, "x.csv"))).status_code == 507
    assert list((services.settings.data_dir / "files").glob("*.input")) == []
    assert services.jobs.page(limit=1).jobs == []


def test_an_upload_that_finds_no_room_for_its_file_leaves_nothing(client: FlaskClient, services: Services) -> None:
    with full_for_new_files():
        answer = send(client, whole(part("file", CSV, "x.csv")))
    assert (answer.status_code, answer.get_json()["errorType"]) == (507, "disk_full")
    assert list((services.settings.data_dir / "files").glob("*.input")) == []


def test_an_export_that_finds_no_room_for_its_file_goes_on_when_there_is_some(
    client: FlaskClient, services: Services
) -> None:
    imported = upload(client)
    wait_for(services, imported, State.SUCCEEDED)
    with full_for_new_files():
        job_id = client.post("/exportData", json=JANUARY).get_json()["Job ID"]
        poll(lambda: len(history(services, job_id)) == 4, TIMEOUT, "the run to stop")
        assert history(services, job_id)[2][0] == "interrupted"
        assert "there is no room for the files" in history(services, job_id)[2][1]
    assert services.jobs.get(job_id).state is State.QUEUED
    end_pause(services)
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.get(f"/jobs/{job_id}/result").text.count(imported) == 2


def test_readyz_tries_a_write(client: FlaskClient, services: Services) -> None:
    only = ["ON"]
    event.listen(
        database_of(services).backend.engine,
        "checkout",
        lambda driver, *_: driver.execute(f"PRAGMA query_only={only[0]}").close(),
    )
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "can't be written" in answer.get_json()["reason"]
    only[0] = "OFF"
    assert client.get("/readyz").status_code == 200


def test_a_run_takes_no_further_item_while_a_stop_is_still_being_written(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    job = services.jobs.get(job_id)
    engine: Any = services.jobs.steering._engine
    with ExitStack() as turn:
        turn.enter_context(database_of(services).write())
        with meanwhile(client, "POST", f"/jobs/{job_id}/pause") as paused:
            poll(engine._running(job.key, job.attempt).stop.is_set, TIMEOUT, "the run to be told")
            gated.gate.open(1)
            turn.close()
            answer = paused.result(TIMEOUT)
    assert (answer.status_code, answer.get_json()["state"]) == (200, "paused")
    assert gated.gate.reached == 1
