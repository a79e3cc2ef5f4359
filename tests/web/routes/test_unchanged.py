"""Tags: the same one only for the same answer, and 304 for a client that has it already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobsvc.jobs.states import State
from jobsvc.web.services import Services
from tests.support.gated import Gated
from tests.support.requests import assert_problem, held, meanwhile, submit_gated, upload
from tests.support.waiting import TIMEOUT, poll, wait_for

pytestmark = pytest.mark.both_databases


def asked(client: FlaskClient, path: str, tag: str | None = None) -> TestResponse:
    return client.get(path, headers={} if tag is None else {"If-None-Match": tag})


def tag_of(client: FlaskClient, path: str) -> str:
    """The tag of an answer, which a client that has it is not sent again."""
    first = asked(client, path)
    assert first.status_code == 200, first.text
    tag = first.headers["ETag"]
    again = asked(client, path, tag)
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    assert asked(client, path, '"another"').data == first.data
    return tag


def test_an_answer_that_is_sent_is_whole_whatever_conditions_there_are(client: FlaskClient, finished: str) -> None:
    for path in ("/jobs", f"/jobs/{finished}"):
        plain = client.get(path)
        tag = plain.headers["ETag"]
        both = client.get(path, headers={"If-None-Match": tag, "If-Match": tag})
        assert both.status_code == 304 or both.data == plain.data


@pytest.fixture
def finished(client: FlaskClient, services: Services) -> str:
    job_id = upload(client, b"date,n\n2026-01-01,1\nno date,2\n", date_column="date")
    wait_for(services, job_id, State.SUCCEEDED)
    return job_id


@pytest.mark.in_one_app
@pytest.mark.parametrize(
    "path",
    ["/jobs", "/jobs?state=paused", "/jobs/{}", "/jobs/{}/events", "/jobs/{}/webhooks", "/jobs/actions", "/kinds"],
)
def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, finished: str, path: str) -> None:
    there = path.format(finished)
    tag = tag_of(client, there)
    assert client.head(there).headers["ETag"] == tag
    assert tag_of(client, there) == tag


def test_an_action_on_many_jobs_has_a_tag_that_changes_with_it(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    with meanwhile(client, "POST", "/jobs/actions?action=pause&wait=0"):
        wait_for(services, job_id, State.PAUSING)
    path = client.get("/jobs/actions").json["actions"][0]["links"]["self"]  # type: ignore[index]
    poll(lambda: client.get(path).json["finished_at"] is not None, TIMEOUT, "all jobs to be asked")  # type: ignore[index]
    under_way = tag_of(client, path)
    gated.gate.open(1)
    assert client.get(f"{path}?wait=30").json["stopping"] == 0  # type: ignore[index]
    over = tag_of(client, path)
    assert over != under_way
    assert tag_of(client, path) == over


def test_a_tag_is_the_version_of_the_job_in_quotes(client: FlaskClient, finished: str) -> None:
    answer = client.get(f"/jobs/{finished}")
    version = answer.json["version"]  # type: ignore[index]
    assert answer.headers["ETag"] == f'"{version}"'
    listed = client.get("/jobs").json["jobs"][0]  # type: ignore[index]
    assert listed["version"] == version


def test_progress_and_a_pause_change_the_version_and_a_paused_job_keeps_its_own(
    client: FlaskClient, services: Services, gated: Gated
) -> None:
    job_id = held(services, gated)
    path = f"/jobs/{job_id}"
    tags = [(tag_of(client, path), tag_of(client, "/jobs"))]
    gated.gate.open(1)
    gated.gate.wait_reached(2)
    tags.append((tag_of(client, path), tag_of(client, "/jobs")))
    with meanwhile(client, "POST", f"{path}/pause"):
        wait_for(services, job_id, State.PAUSING)
        tags.append((tag_of(client, path), tag_of(client, "/jobs")))
        gated.gate.open(1)
    wait_for(services, job_id, State.PAUSED)
    tags.append((tag_of(client, path), tag_of(client, "/jobs")))
    for each in zip(*tags, strict=True):
        assert len(set(each)) == 4, tags
    # What is left of the running job in memory has gone by then.
    assert gated.closed.wait(30)
    assert (tag_of(client, path), tag_of(client, "/jobs")) == tags[-1]


def test_the_answer_of_a_finished_job_is_the_same_after_a_restart(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    client = app.test_client()
    job_id = upload(client)
    wait_for(app.extensions["jobsvc"], job_id, State.SUCCEEDED)
    before = client.get(f"/jobs/{job_id}")
    app.extensions["jobsvc"].close()
    after = asked(make_app().test_client(), f"/jobs/{job_id}", before.headers["ETag"])
    assert after.status_code == 304


def test_a_list_has_another_tag_for_another_page(client: FlaskClient, services: Services, gated: Gated) -> None:
    gated.gate.open()
    for _ in range(3):
        wait_for(services, submit_gated(services), State.SUCCEEDED)
    whole = tag_of(client, "/jobs?limit=3")
    first = tag_of(client, "/jobs?limit=2")
    wait_for(services, submit_gated(services), State.SUCCEEDED)
    assert len({whole, first, tag_of(client, "/jobs?limit=2")}) == 3


def test_a_long_history_is_sent_as_it_is_read_and_has_no_tag(
    client: FlaskClient, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = held(services, gated)
    found = services.jobs.events
    short = client.get(f"/jobs/{job_id}/events")

    def one_by_one(job_id: str, after: int = 0) -> Any:
        return found(job_id, after, 1)

    monkeypatch.setattr(services.jobs, "events", one_by_one)
    long = client.get(f"/jobs/{job_id}/events")
    assert long.json == short.json
    assert len(long.json["events"]) == 2  # type: ignore[index]
    assert "ETag" not in long.headers
    gated.gate.open()


def test_a_condition_that_fails_is_a_problem(client: FlaskClient, finished: str) -> None:
    for path in (f"/jobs/{finished}", "/jobs", "/kinds", f"/jobs/{finished}/events", "/jobs/actions"):
        assert_problem(client.get(path, headers={"If-Match": '"another"'}), 412)
