"""`log`: a job's log, at a real server."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

from tests.support.server import Server
from tests.support.shell import jobsvc, start


def test_log_prints_a_job_s_lines_for_people_and_for_scripts(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job(1)
    found = jobsvc(service.url, "log", job_id)
    assert found.exit == 0
    assert [line.split(maxsplit=1)[1] for line in found.lines] == [
        "1 info    attempt 1 begins at item 1",
        "1 info    succeeded: every item was done or refused; 1 done, 0 refused",
    ]
    as_json = [json.loads(line) for line in jobsvc(service.url, "log", job_id, "--json").lines]
    assert as_json == service.get(f"/jobs/{job_id}/log")["lines"]


def test_log_of_no_job_says_so(url: str) -> None:
    found = jobsvc(url, "log", "nobody")
    assert (found.exit, found.out) == (5, "")


def test_log_follows_a_job_until_it_has_ended(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    process = start(service.url, "log", job_id, "--follow")
    assert process.stdout is not None
    assert "attempt 1 begins" in process.stdout.readline()
    service.post(f"/jobs/{job_id}/terminate", {})
    assert "terminated: " in process.stdout.readline()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_ctrl_c_ends_the_following_and_not_the_job(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job()
    process = start(service.url, "log", job_id, "--follow")
    assert process.stdout is not None
    assert "attempt 1 begins" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"No longer following: job {job_id} goes on." in err
    assert service.job(job_id)["state"] == "running"
