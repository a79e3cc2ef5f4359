"""GET /jobs/<id>/samples, and the lines of a list that show how fast its jobs are."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from jobsvc.identifiers import JobKey
from jobsvc.jobs.states import State
from jobsvc.service.monitoring.samples import IN_SPARKLINE, Samples
from jobsvc.store.queries.sampling import sample_rows
from jobsvc.web.services import Services
from tests.support.environment import Environment
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, submit_gated
from tests.support.waiting import wait_for

pytestmark = pytest.mark.both_databases


def samples(client: FlaskClient, job_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/jobs/{job_id}/samples")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.get_json()["samples"]
    return found


def counts(found: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(each["done"], each["failed"]) for each in found]


def test_a_job_has_samples_of_its_begin_and_its_end(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated, count=20)
    assert samples(client, job_id) == []
    gated.gate.open()
    wait_for(services, job_id, State.SUCCEEDED)
    begin, *_, end = samples(client, job_id)
    assert counts([begin, end]) == [(0, 0), (20, 0)]
    assert (begin["ran"], begin["rate"]) == (0.0, None)
    assert end["rate"] == pytest.approx((end["done"] - samples(client, job_id)[-2]["done"]) / end["ran"], rel=0.1)
    assert begin["at"] <= end["at"]
    assert client.get(f"/jobs/{job_id}").get_json()["links"]["samples"] == f"/jobs/{job_id}/samples"


def test_a_pause_is_a_sample_and_what_comes_after_it_begins_another(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated, count=10)
    services.jobs.pause(job_id, "Ann", 0)
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    before = samples(client, job_id)
    assert counts(before)[-1] == (1, 0)
    services.jobs.resume(job_id, "Ann", 0)
    gated.gate.open()
    wait_for(services, job_id, State.SUCCEEDED)
    found = samples(client, job_id)
    assert found[: len(before)] == before
    assert counts(found)[-1] == (10, 0)


def test_a_job_that_fails_between_samples_has_its_end(client: FlaskClient, services: Services, gated: Gated) -> None:
    job_id = held(services, gated, count=10, fail_at=4)
    services.jobs.pause(job_id, "Ann", 0)
    gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    services.jobs.resume(job_id, "Ann", 0)
    gated.gate.open()
    wait_for(services, job_id, State.FAILED)
    end = samples(client, job_id)[-1]
    assert (end["done"], end["rate"], end["ran"]) == (services.jobs.get(job_id).done, None, 0.0)
    assert end["done"] > 1


def test_a_rollback_leaves_the_samples_and_tells_how_far_it_is(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    gated.gate.open()
    job_id = submit_gated(services, count=20)
    wait_for(services, job_id, State.SUCCEEDED)
    before = samples(client, job_id)
    assert client.get(f"/jobs/{job_id}").get_json()["rollback"] is None
    rolled_back = client.post(f"/jobs/{job_id}/rollback", json={"wait": 30}).get_json()
    assert rolled_back["rollback"] == {"percent": 100.0, "removed": 20, "left": 0}
    assert samples(client, job_id) == before


def test_samples_that_are_as_before_are_not_sent_again(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    job_id = submit_gated(services)
    wait_for(services, job_id, State.SUCCEEDED)
    tag = client.get(f"/jobs/{job_id}/samples").headers["ETag"]
    assert client.get(f"/jobs/{job_id}/samples", headers={"If-None-Match": tag}).status_code == 304


def test_there_are_no_samples_of_a_job_that_is_not_there(shared_client: FlaskClient) -> None:
    assert_problem(shared_client.get("/jobs/nobody-made-it/samples"), 404, "unknown-job")


def test_the_rates_of_all_jobs_of_a_list_take_one_query(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(3)]
    points = ",".join(f"[{1000 * second},{second * second},0,{second}]" for second in range(100))
    with idle.database.write() as connection:
        sample_rows.put(connection, jobs[0].key, f"[{points}]", 1.0)
        sample_rows.put(connection, jobs[1].key, "[[0,0,0,0]]", 1.0)
    asked: list[str] = []
    event.listen(idle.database.backend.engine, "before_cursor_execute", lambda *call: asked.append(call[2]))
    found = Samples(idle.database).sparklines([*(job.key for job in jobs), JobKey(12345)])
    assert list(found) == [jobs[0].key]
    assert len(found[jobs[0].key]) == IN_SPARKLINE
    assert found[jobs[0].key][-1] == 99 * 99 - 98 * 98
    assert len([statement for statement in asked if "job_samples" in statement]) == 1
    assert Samples(idle.database).sparklines([]) == {}
