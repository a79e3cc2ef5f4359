"""`pause`, `resume`, `terminate`, `rollback`, at a real server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobsvc.cli.client import steering
from jobsvc.jobs.states import State
from tests.support.server import Server, free_port
from tests.support.shell import jobsvc


@pytest.fixture
def make_job(service: Server) -> Iterator[Callable[..., str]]:
    """Makes jobs that go on until the test has ended, or are done at once."""
    made: list[str] = []

    def make(count: int = 1_000_000) -> str:
        status, job = service.post("/kinds/tocks/jobs", {"count": count, "seconds": 0.01})
        assert status == 201, job
        made.append(job["id"])
        service.wait_for(job["id"], "running" if count > 1 else "succeeded")
        return made[-1]

    yield make
    for job_id in made:
        service.post(f"/jobs/{job_id}/terminate", {"rollback": True})


def test_a_job_is_paused_resumed_terminated_and_rolled_back(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    service.wait_done(job_id, 1)
    assert jobsvc(service.url, "pause", job_id).lines == [f"{job_id} paused"]
    assert jobsvc(service.url, "resume", job_id).lines in ([f"{job_id} queued"], [f"{job_id} running"])
    assert jobsvc(service.url, "terminate", job_id).lines == [f"{job_id} terminated"]
    assert service.count_records(job_id) > 0
    assert jobsvc(service.url, "rollback", job_id, "--wait", "20").lines == [f"{job_id} terminated"]
    assert service.count_records(job_id) == 0


def test_terminate_takes_back_what_was_made_if_told_so(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    service.wait_done(job_id, 1)
    (job,) = map(json.loads, jobsvc(service.url, "terminate", job_id, "--rollback", "--json", "--wait", "20").lines)
    assert (job["state"], job["rolled_back"]) == ("terminated", True)
    assert service.count_records(job_id) == 0


def test_of_several_jobs_each_is_asked_and_the_first_fault_is_the_exit_code(
    service: Server, make_job: Callable[..., str]
) -> None:
    running, done = make_job(), make_job(1)
    found = jobsvc(service.url, "pause", done, "nope", running)
    assert (found.exit, found.lines) == (6, [f"{running} paused"])
    assert found.err == f"Error: job {done} is succeeded: it can't be paused\nError: there is no job 'nope'\n"
    found = jobsvc(service.url, "pause", "nope", done, "--json")
    assert found.exit == 5
    assert [json.loads(line)["exit"] for line in found.err.splitlines()] == [5, 6]


def test_all_that_a_filter_finds_is_counted_asked_for_and_steered(
    service: Server, make_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = {make_job(), make_job()}
    done = make_job(1)
    would = jobsvc(service.url, "pause", "--all", "--kind", "tocks", "--dry-run")
    assert (would.exit, {line.split()[0] for line in would.lines}) == (0, jobs)
    assert would.err == "would pause 2 jobs: 2 running\n"
    unasked = jobsvc(service.url, "pause", "--all", "--kind", "tocks")
    assert unasked.exit == 2
    assert "would pause 2 jobs (2 running): say --yes" in unasked.err
    monkeypatch.setattr(steering, "_can_ask", lambda: True)
    refused = jobsvc(service.url, "pause", "--all", "--kind", "tocks", stdin="n\n")
    assert (refused.exit, refused.err.startswith("pause 2 jobs (2 running)? [y/N]")) == (1, True)
    assert {service.job(job_id)["state"] for job_id in jobs} == {"running"}
    agreed = jobsvc(service.url, "pause", "--all", "--kind", "tocks", "--wait", "20", stdin="y\n")
    assert (agreed.exit, set(agreed.lines)) == (0, {f"{job_id} paused" for job_id in jobs})
    assert jobsvc(service.url, "pause", "--all", "--kind", "tocks").err == "there is no job to pause\n"
    assert jobsvc(service.url, "pause", "--all", "--user", "nobody", "--yes").err == "there is no job to pause\n"
    ended = jobsvc(service.url, "terminate", "--all", "--state", "paused", "--yes", "--json")
    assert {json.loads(line)["id"] for line in ended.lines} == jobs
    assert service.job(done)["state"] == "succeeded"


def test_finished_jobs_are_rolled_back_with_others_only_if_their_state_is_named(
    service: Server, make_job: Callable[..., str]
) -> None:
    done = make_job(1)
    found = jobsvc(service.url, "terminate", "--rollback", "--all", "--kind", "tocks")
    assert found.err == "there is no job to terminate --rollback\n"
    named = ("--all", "--kind", "tocks", "--state", "succeeded", "--dry-run")
    assert jobsvc(service.url, "terminate", "--rollback", *named).lines == [f"{done} succeeded"]


def test_what_was_rolled_back_is_not_rolled_back_again(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job(1)
    assert jobsvc(service.url, "rollback", "--all", "--kind", "tocks", "--yes", "--wait", "20").exit == 0
    assert service.wait_for(job_id, "terminated")["rolled_back"]
    assert jobsvc(service.url, "rollback", "--all", "--kind", "tocks").err == "there is no job to rollback\n"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "name jobs by their ids, or say --all"),
        (("--kind", "tocks"), "a filter goes with --all"),
        (("a", "--kind", "tocks"), "a filter goes with --all"),
        (("a", "--all"), "either ids or --all, and not both"),
        (
            ("--all", "--state", "succeeded"),
            "a succeeded job can't be paused; it can from queued, running, interrupted",
        ),
        (("a", "--wait", "31"), "31.0 is not in the range 0<=x<=30"),
    ],
)
def test_a_command_line_that_may_mean_two_things_is_refused(url: str, args: tuple[str, ...], said: str) -> None:
    found = jobsvc(url, "pause", *args)
    assert (found.exit, said in found.err) == (2, True), found.err


def test_a_service_that_goes_away_is_told_with_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    found = jobsvc(url, "pause", "a", "b")
    assert (found.exit, "were asked before" in found.err) == (7, False)
    asked: list[str] = []

    def post(self: Any, path: str, body: Any) -> dict[str, Any]:
        asked.append(path)
        if len(asked) > 1:
            raise steering.Unreachable("away")
        return {"state": str(State.PAUSED)}

    monkeypatch.setattr("jobsvc.cli.client.api.Api.post", post)
    found = jobsvc(url, "pause", "a", "b", "c")
    assert (found.exit, found.err) == (7, "Error: away; 1 of 3 jobs were asked before\n")
    assert len(asked) == 2
