"""A user who sends too many requests a second is told so, before anything is done; others, and steering, go on."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from jobsvc.access.key_ring import KeyRing
from jobsvc.service.limits.rate import OwnBuckets, RequestRate
from jobsvc.web.services import Services
from tests.support.requests import assert_problem
from tests.support.waiting import poll

ANN, ANNS_OTHER, BOB, ADA = (f"key-of-{name}-{'0' * 16}" for name in ("ann", "ann-too", "bob", "ada"))
RING = f"ann:{ANN}:user,ann:{ANNS_OTHER}:user,bob:{BOB}:user,ada:{ADA}:admin"
MOST = 3

MISSING = "ann-baselineCSV-1575836394-8469"

MakeApp = Callable[..., Flask]


class Clock:
    """It stands still, so that the test may take as long as it likes."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def limited(make_app: MakeApp, **more: Any) -> tuple[FlaskClient, Clock]:
    app = make_app(user_max_requests=MOST, **more)
    clock = Clock()
    services: Services = app.extensions["jobsvc"]
    assert isinstance(services.rate, RequestRate)
    assert isinstance(services.rate._buckets, OwnBuckets)
    services.rate._buckets._now = clock
    return app.test_client(), clock


def by(key: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {key}"}}


def use_up(client: FlaskClient, **how: Any) -> None:
    """Send as many requests as a full bucket has."""
    for _ in range(2 * MOST):
        assert client.get("/jobs", **how).status_code == 200


def test_too_many_requests_are_told_which_limit_it_is_and_when_to_come_back(make_app: MakeApp) -> None:
    client, clock = limited(make_app)
    use_up(client)
    answer = client.get("/jobs")
    found = assert_problem(answer, 429, "too-many-requests")
    assert answer.headers["Retry-After"] == "1"
    assert (found["limit"], found["allowed"]) == ("JOBSVC_USER_MAX_REQUESTS", MOST)
    assert "Jon-Doe sends more requests than 3 a second" in found["detail"]
    clock.seconds += 1
    assert [client.get("/jobs").status_code for _ in range(MOST + 1)] == [200, 200, 200, 429]


@pytest.mark.parametrize("route", ["/uploadCSV", "/createBulkTeam", "/exportData"])
def test_the_original_s_routes_tell_it_as_they_tell_errors(make_app: MakeApp, route: str) -> None:
    class Unread(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise AssertionError("the body was read")

    client, _ = limited(make_app)
    use_up(client)
    answer = client.post(route, input_stream=Unread(), environ_overrides={"CONTENT_LENGTH": "100"})
    assert (answer.status_code, answer.get_json()["errorType"]) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "1"


def test_a_limit_is_for_a_user_whatever_key_and_role_they_have(make_app: MakeApp) -> None:
    client, _ = limited(make_app, api_keys=KeyRing.read(RING))
    use_up(client, **by(ANN))
    assert client.get("/jobs", **by(ANNS_OTHER)).status_code == 429
    use_up(client, **by(BOB))
    use_up(client, **by(ADA))
    assert client.get("/jobs", **by(ADA)).status_code == 429


def test_what_a_user_may_not_do_counts_too(make_app: MakeApp) -> None:
    client, _ = limited(make_app, api_keys=KeyRing.read(RING))
    assert [client.get("/keys", **by(ANN)).status_code for _ in range(2 * MOST + 1)] == [403] * 2 * MOST + [429]
    use_up(client, **by(BOB))
    assert client.get("/nowhere", **by(BOB)).status_code == 429


STEERING = [
    ("POST", f"/jobs/{MISSING}/pause", 404),
    ("POST", f"/jobs/{MISSING}/resume", 404),
    ("POST", f"/jobs/{MISSING}/terminate", 404),
    ("POST", f"/jobs/{MISSING}/rollback", 404),
    ("DELETE", f"/jobs/{MISSING}", 404),
    ("POST", "/jobs/actions", 400),
    ("POST", f"/updateTask?id={MISSING}&action=stop", 404),
    ("GET", f"/updateTask?id={MISSING}&action=stop", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), STEERING)
def test_whatever_else_somebody_s_script_does_they_can_stop_their_jobs(
    make_app: MakeApp, method: str, path: str, status: int
) -> None:
    client, _ = limited(make_app, api_keys=KeyRing.read(RING))
    use_up(client, **by(ANN))
    assert client.get("/jobs", **by(ANN)).status_code == 429
    statuses = [client.open(path, method=method, **by(ANN)).status_code for _ in range(2 * MOST + 1)]
    assert statuses == [status] * 2 * MOST + [429]


def test_steering_takes_nothing_from_other_requests(make_app: MakeApp) -> None:
    client, _ = limited(make_app)
    while client.post(f"/jobs/{MISSING}/pause").status_code != 429:
        pass
    use_up(client)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/login"])
def test_what_watches_the_service_and_what_is_public_does_not_count(make_app: MakeApp, path: str) -> None:
    client, _ = limited(make_app)
    assert {client.get(path).status_code for _ in range(3 * MOST)} == {200}
    use_up(client)
    assert client.get(path).status_code == 200


def test_whoever_sends_too_many_does_not_fill_the_audit(make_app: MakeApp) -> None:
    client, clock = limited(make_app)
    use_up(client)
    assert {client.post("/exportData", json={}).status_code for _ in range(20)} == {429}
    clock.seconds += 1
    assert client.post("/exportData", json={}).status_code == 400

    def lines() -> Any:
        clock.seconds += 1
        return client.get("/audit?action=job.create").get_json()["lines"]

    poll(lambda: bool(lines()), 30, "the line of the last one")
    assert [line["status"] for line in lines()] == [400]
