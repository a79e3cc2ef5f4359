"""`pause`, `resume`, `terminate`, `rollback`, at a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from jobsvc.cli.client.api import Unreachable
from jobsvc.jobs.states import State
from tests.support.server import Server, free_port
from tests.support.shell import jobsvc


def test_a_job_is_paused_resumed_terminated_and_rolled_back(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    service.wait_done(job_id, 1)
    assert jobsvc(service.url, "pause", job_id).lines == [f"{job_id} paused"]
    assert jobsvc(service.url, "resume", job_id).lines in ([f"{job_id} queued"], [f"{job_id} running"])
    assert jobsvc(service.url, "terminate", job_id).lines == [f"{job_id} terminated"]
    assert service.count_records(job_id) > 0
    assert jobsvc(service.url, "rollback", job_id).lines == [f"{job_id} rolled back"]
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


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "name jobs by their ids, or say --all"),
        (("--kind", "tocks"), "a filter, --dry-run and --yes go with --all"),
        (("a", "--kind", "tocks"), "a filter, --dry-run and --yes go with --all"),
        (("a", "--yes"), "a filter, --dry-run and --yes go with --all"),
        (("a", "--wait", "1", "--no-wait"), "either --wait or --no-wait, and not both"),
        (("a", "--all"), "either ids or --all, and not both"),
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

    def post(self: Any, path: str, body: Any, *, has: str) -> dict[str, Any]:
        asked.append(path)
        if len(asked) > 1:
            raise Unreachable("away")
        return {"id": "a", "state": str(State.PAUSED), "rollback": None}

    monkeypatch.setattr("jobsvc.cli.client.api.Api.post", post)
    found = jobsvc(url, "pause", "a", "b", "c")
    assert (found.exit, found.err) == (7, "Error: away; 1 of 3 jobs were asked before\n")
    assert len(asked) == 2
