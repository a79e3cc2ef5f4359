"""`pause --all` and the like, at a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jobsvc.cli.client import bulk
from tests.support.server import Server
from tests.support.shell import jobsvc

ALL = ("--all", "--kind", "tocks")


def states(service: Server, jobs: list[str]) -> set[str]:
    return {service.job(job_id)["state"] for job_id in jobs}


def test_a_dry_run_says_which_jobs_these_are(service: Server, make_job: Callable[..., str]) -> None:
    jobs = [make_job(), make_job()]
    would = jobsvc(service.url, "pause", *ALL, "--dry-run")
    assert (would.exit, set(would.lines), would.err.splitlines()[0]) == (0, set(jobs), "would pause 2 jobs")
    assert jobsvc(service.url, "pause", *ALL, "--dry-run", "--json").json["would_do"] == 2
    assert jobsvc(service.url, "pause", *ALL, "--dry-run", "--user", "nobody").err == "would pause 0 jobs\n"
    assert states(service, jobs) == {"running"}


def test_it_is_asked_first_and_needs_a_yes_where_nobody_can_be_asked(
    service: Server, make_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = make_job()
    unasked = jobsvc(service.url, "pause", *ALL)
    assert (unasked.exit, unasked.out) == (2, "")
    assert "this would pause 1 job, and nobody can be asked here: say --yes" in unasked.err
    monkeypatch.setattr(bulk, "_can_ask", lambda: True)
    refused = jobsvc(service.url, "pause", *ALL, stdin="n\n")
    assert (refused.exit, refused.err.startswith("pause 1 job? [y/N]")) == (1, True)
    assert refused.err.endswith("Error: nothing was asked of any job\n")
    assert service.job(job_id)["state"] == "running"
    assert jobsvc(service.url, "pause", *ALL, stdin="y\n").exit == 0
    assert service.job(job_id)["state"] == "paused"
    assert jobsvc(service.url, "pause", *ALL).err.startswith("there is no job to pause\n")


def test_a_service_is_emptied_and_filled_again_with_two_commands(service: Server, make_job: Callable[..., str]) -> None:
    jobs, by_another = [make_job(), make_job()], make_job()
    service.post(f"/jobs/{by_another}/pause")
    paused = jobsvc(service.url, "pause", *ALL, "--yes")
    (action,) = paused.lines
    assert (paused.exit, "paused 2 jobs\n" in paused.err) == (0, True), paused.err
    assert states(service, jobs) == {"paused"}
    resumed = jobsvc(service.url, "resume", "--all", "--paused-by", action, "--yes", "--json").json
    assert (resumed["done"], resumed["filter"]["paused_by"]) == (2, action)
    assert states(service, jobs) <= {"queued", "running"}
    assert service.job(by_another)["state"] == "paused"


def test_what_is_left_alone_is_told_with_the_reason(service: Server, make_job: Callable[..., str]) -> None:
    make_job(1)
    found = jobsvc(service.url, "terminate", *ALL, "--state", "succeeded", "--yes")
    assert found.exit == 0
    assert "there is no job to terminate\n" in found.err
    assert " left alone: it is succeeded: it can't be terminated" in found.err


def test_jobs_are_terminated_and_rolled_back(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    service.wait_done(job_id, 1)
    assert jobsvc(service.url, "terminate", *ALL, "--rollback", "--yes").exit == 0
    assert (service.job(job_id)["rolled_back"], service.count_records(job_id)) == (True, 0)


def test_an_action_that_is_no_longer_waited_for_goes_on(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    going_on: dict[str, Any] = {
        "id": "pause-1", "action": "pause", "found": 3, "done": 2, "stopping": 1, "finished_at": None,
        "would_do": 3, "left": 1, "skipped": {"count": 0, "reasons": []},
    }  # fmt: skip

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobsvc.cli.client.api.Api.post", lambda *_, **__: going_on)
    monkeypatch.setattr("jobsvc.cli.client.api.Api.get", interrupted)
    found = jobsvc(url, "pause", *ALL, "--yes")
    assert (found.exit, found.err) == (130, "No longer waiting: the action pause-1 goes on.\n")
    monkeypatch.setattr("jobsvc.cli.client.api.Api.get", lambda *_, **__: going_on)
    so_far = "1 of 3 jobs are paused; the action pause-1 goes on\n"
    found = jobsvc(url, "pause", *ALL, "--yes", "--no-wait")
    assert (found.exit, found.lines, found.err) == (0, ["pause-1"], so_far)
    found = jobsvc(url, "pause", *ALL, "--yes", "--wait", "0.1")
    assert (found.exit, found.lines, found.err) == (8, ["pause-1"], f"Error: {so_far}")
