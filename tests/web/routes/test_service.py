"""GET /service and /service/details."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from jobsvc.service.monitoring import cached, overview
from jobsvc.store.queries.sampling.throughput_rows import BUCKET_SECONDS
from jobsvc.version import VERSION
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, submit_gated
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases

ANN, EVE = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "eve"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is of now."""
    monkeypatch.setattr(cached, "FRESH_SECONDS", 0.0)


def service(client: FlaskClient, key: str | None = None) -> dict[str, Any]:
    answer = client.get("/service", headers={} if key is None else {"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def counted(count: int, *, or_more: bool = False) -> dict[str, Any]:
    return {"count": count, "or_more": or_more}


def test_it_tells_of_slots_queue_and_jobs(make_app: Callable[..., Flask], gated: Gated) -> None:
    app = make_app(max_running=2)
    client, services = app.test_client(), app.extensions["jobsvc"]
    assert service(client)["slots"] == {"total": 2, "used": 0, "free": 2}
    held(services, gated)
    paused = submit_gated(services)
    gated.gate.wait_reached(2)
    submit_gated(services)
    services.jobs.pause(submit_gated(services), "Ann", 0)
    found = service(client)
    assert found["slots"] == {"total": 2, "used": 2, "free": 0}
    assert (found["queued"], found["paused"]) == (counted(1), counted(1))
    assert {state: count["count"] for state, count in found["jobs"].items() if count["count"]} == {
        "running": 2,
        "queued": 1,
        "paused": 1,
    }
    assert paused


def test_the_throughput_has_every_item_of_the_last_ten_minutes(
    client: FlaskClient, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that what was done just now is told: its bucket is not over yet.
    monkeypatch.setattr(overview, "SETTLING_SECONDS", float(-BUCKET_SECONDS))
    gated.gate.open()
    wait_for(services, submit_gated(services, count=1000, batch=100), "succeeded")
    found = service(client)["throughput"]
    assert len(found) == 120
    moments = [datetime.fromisoformat(each["at"]) for each in found]
    assert {(after - before).total_seconds() for before, after in itertools.pairwise(moments)} == {5.0}
    assert sum(each["rate"] for each in found) * 5 == pytest.approx(1000, abs=1)


def test_jobs_are_counted_up_to_a_limit(
    client: FlaskClient, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "COUNTED", 2)
    gated.gate.open()
    for expected in (counted(1), counted(2, or_more=True), counted(2, or_more=True)):
        wait_for(services, submit_gated(services, count=1), "succeeded")
        assert service(client)["jobs"]["succeeded"] == expected


def test_a_user_sees_the_whole_service_without_names_and_counts_of_their_own_jobs(
    make_app: Callable[..., Flask], gated: Gated
) -> None:
    app = make_app(max_running=1, api_keys=KeyRing.read(f"ann:{ANN}:user,eve:{EVE}:viewer"))
    client, services = app.test_client(), app.extensions["jobsvc"]
    held(services, gated, user="bob")
    submit_gated(services, user="bob")
    submit_gated(services, user="ann")
    for key, running, queued in ((ANN, 0, 1), (EVE, 1, 2)):
        found = service(client, key)
        assert (found["jobs"]["running"]["count"], found["jobs"]["queued"]["count"]) == (running, queued)
        assert (found["slots"]["used"], found["queued"]) == (1, counted(2))
    assert "bob" not in str(service(client, ANN))
    refused = client.get("/service/details", headers={"Authorization": f"Bearer {ANN}"})
    assert_problem(refused, 403, "not-permitted")
    assert client.get("/service/details", headers={"Authorization": f"Bearer {EVE}"}).status_code == 200


def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a disk to which other tests write, it is another number each time.
    usage = shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    for path in ("/service", "/service/details"):
        # The throughput may have changed in between.
        for _ in range(20):
            tag = client.get(path).headers["ETag"]
            if client.get(path, headers={"If-None-Match": tag}).status_code == 304:
                break
        else:
            pytest.fail(f"{path} was another one each time")


def test_the_details_tell_settings_versions_health_and_disks(make_app: Callable[..., Flask]) -> None:
    app = make_app(api_keys=KeyRing.read(f"eve:{EVE}:viewer"), max_queued=7)
    answer = app.test_client().get("/service/details", headers={"Authorization": f"Bearer {EVE}"})
    found = answer.get_json()
    settings = {each["name"]: (each["value"], each["from"]) for each in found["settings"]}
    assert settings["JOBSVC_MAX_QUEUED"] == ("7", "the program that starts the service")
    assert settings["JOBSVC_API_KEYS"][0] == "set"
    assert EVE not in answer.text
    assert found["versions"]["jobsvc"] == VERSION
    assert (found["ready"], found["not_ready"]) == (True, None)
    assert "files" in {disk["holds"] for disk in found["disks"]}
    assert all(0 < disk["free"] <= disk["total"] for disk in found["disks"])
    assert found["database"]["size"] > 0
