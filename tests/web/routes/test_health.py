from __future__ import annotations

from flask.testing import FlaskClient

from jobsvc.version import VERSION
from jobsvc.web.services import Services


def test_a_running_service_is_alive_and_ready(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok", "version": VERSION}
    assert client.get("/readyz").json == {"status": "ready"}


def test_a_service_that_ends_is_alive_but_takes_no_work(client: FlaskClient, services: Services) -> None:
    services.close()
    assert client.get("/healthz").json == {"status": "ok", "version": VERSION}
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "not ready", "reason": "shutting down"})
