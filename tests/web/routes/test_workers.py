"""GET /workers where one process runs the jobs. What a fleet says is in tests/process/fleet."""

from __future__ import annotations

import os

from flask import Flask
from flask.testing import FlaskClient

from jobsvc.web.services import Services
from tests.support.gated import Gated


def test_one_process_tells_of_itself_and_what_it_runs(
    app: Flask, client: FlaskClient, services: Services, gated: Gated
) -> None:
    def told() -> dict[str, object]:
        answer = client.get("/workers").get_json()
        [worker] = answer["workers"]
        return dict(worker)

    idle = told()
    assert idle["pid"] == os.getpid()
    assert idle["alive"] is True
    assert idle["concurrency"] == services.settings.max_running
    assert idle["running"] == []
    assert idle["queues"] == []
    status = client.post("/kinds/gated/jobs", json={"count": 2})
    job_id = status.get_json()["id"]
    gated.gate.wait_reached(1)
    assert told()["running"] == [
        {"id": job_id, "kind": "gated", "state": "running", "attempt": 1, "links": {"self": f"/jobs/{job_id}"}}
    ]
