"""How a request may say how a job is to be steered."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import held


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"rollback": True}},
        # As `curl -d` sends it.
        {"data": '{"rollback": true}', "content_type": "application/x-www-form-urlencoded"},
        {"data": {"rollback": "true"}},
        {"query_string": {"rollback": "true"}},
    ],
    ids=["json", "curl -d", "form", "query"],
)
def test_rollback_is_understood_however_it_is_sent(
    how: dict[str, Any], client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    gated.gate.open()
    answer = client.post(f"/jobs/{job_id}/terminate", **how)
    assert answer.status_code == 200
    assert answer.json["rolled_back"] is True


@pytest.mark.parametrize(
    "how",
    [
        {"json": {"rolback": True}},
        {"json": {"rollback": "maybe"}},
        {"json": [True]},
        {"data": "rollback please", "content_type": "text/plain"},
        {"data": '{"rollback": true', "content_type": "application/json"},
    ],
)
def test_what_is_not_understood_is_refused_and_changes_nothing(
    how: dict[str, Any], client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    answer = client.post(f"/jobs/{job_id}/terminate", **how)
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert services.jobs.get(job_id).state == "running"


def test_looking_whether_a_route_is_there_steers_nothing(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated)
    assert client.head(f"/updateTask?id={job_id}&action=terminate").status_code == 405
    assert services.jobs.get(job_id).state == "running"
