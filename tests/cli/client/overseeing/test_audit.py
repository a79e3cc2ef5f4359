"""`audit`, at a real server."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.server import Server
from tests.support.shell import jobsvc
from tests.support.waiting import poll


def test_audit_shows_who_did_what_for_people_and_for_scripts(service: Server, make_job: Callable[..., str]) -> None:
    job_id = make_job(1)
    status, _ = service.post(f"/jobs/{job_id}/pause")
    assert status == 409
    poll(lambda: len(service.get(f"/audit?target={job_id}")["lines"]) == 2, 30, "the refusal")
    found = jobsvc(service.url, "audit", "--target", job_id)
    assert found.exit == 0
    head, *rows = [line.split("\t") for line in found.lines]
    assert head == ["AT", "USER", "ACTION", "OUTCOME", "TIMES", "FROM", "KEY", "TARGET"]
    refused = ["Jon-Doe", "job.pause", "refused 409 not-allowed-now", "1", "127.0.0.1", "-", job_id]
    made = ["Jon-Doe", "job.create", "done", "1", "127.0.0.1", "-", job_id]
    assert [row[1:] for row in rows] == [refused, made]
    as_json = json.loads(jobsvc(service.url, "audit", "--target", job_id, "--json").out)
    assert as_json == service.get(f"/audit?target={job_id}")


def test_audit_tells_that_there_is_more(service: Server, make_job: Callable[..., str]) -> None:
    make_job(1)
    make_job(1)
    found = jobsvc(service.url, "audit", "--action", "job.create", "--limit", "1")
    assert len(found.lines) == 2
    assert "There are more than these 1" in found.err


def test_audit_knows_its_actions(url: str) -> None:
    found = jobsvc(url, "audit", "--action", "job.jump")
    assert (found.exit, found.out) == (2, "")
    assert "job.pause" in found.err
