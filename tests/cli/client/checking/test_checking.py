"""`report` and `apply`, at a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.shell import jobsvc

MIXED = "date,n\n2026-01-01,1\nsoon,2\n\n2026-01-01\nlater,3\n"


@pytest.fixture
def dry_run(service: Server, tmp_path: Path) -> str:
    """The id of one that has gone well."""
    file = tmp_path / "guests.csv"
    file.write_text(MIXED)
    job_id = service.upload(file, dry_run="true")
    service.wait_for(job_id, "succeeded")
    return job_id


def test_report_shows_what_would_be_done_and_why_rows_were_refused(url: str, dry_run: str) -> None:
    found = jobsvc(url, "report", dry_run)
    assert found.exit == 0, found.err
    assert found.lines == [
        f"job:   {dry_run}",
        "file:  guests.csv",
        "state: succeeded, a dry run: nothing was made",
        "rows:  1 would be done, 3 refused, 1 blank",
        "",
        "REFUSED\tCOLUMN\tFIRST LINE\tWHY",
        "2\tdate\t3\tthe field doesn't begin with a date YYYY-MM-DD",
        "1\t-\t5\tfewer fields than the header's 2; ragged=pad fills missing ones",
    ]
    assert f"All refused rows, each with its reason: jobsvc failed {dry_run}" in found.err
    assert f"To have it done: jobsvc apply {dry_run}" in found.err


def test_report_shows_the_first_refused_rows_if_asked_to(url: str, dry_run: str) -> None:
    found = jobsvc(url, "report", dry_run, "--rows", "2")
    assert [line.split("\t")[:2] for line in found.lines[-2:]] == [["3", "soon,2"], ["5", "2026-01-01"]]
    in_json = json.loads(jobsvc(url, "report", dry_run, "--rows", "2", "--json").out)
    assert [row["line"] for row in in_json["refused"]] == [3, 5]


def test_report_of_a_job_that_goes_on_says_that_more_is_to_come(service: Server, url: str) -> None:
    _, job = service.post("/kinds/ticks/jobs", {"count": 1_000_000, "seconds": 0.01})
    service.wait_for(job["id"], "running")
    try:
        found = jobsvc(url, "report", job["id"])
    finally:
        service.post(f"/jobs/{job['id']}/terminate")
    assert "The report is of a part of the file: the rest is yet to come." in found.err
    assert "apply" not in found.err
    service.wait_for(job["id"], "terminated")
    assert "the rest was not looked at" in jobsvc(url, "report", job["id"]).err


def test_apply_makes_the_job_prints_its_id_and_follows_it(service: Server, url: str, dry_run: str) -> None:
    found = jobsvc(url, "apply", dry_run, "--priority", "low", "--watch")
    made = found.lines[0]
    assert found.exit == 3, found.err
    job = service.job(made)
    assert (job["applied_from"], job["priority"], job["progress"]["done"]) == (dry_run, "low", 1)
    assert f"made of the dry run: {dry_run}" in jobsvc(url, "show", made).lines
    assert any(line.startswith("applied as:") and line.endswith(made) for line in jobsvc(url, "show", dry_run).lines)
    assert f"applied as: {made}" in jobsvc(url, "report", dry_run).lines


def test_apply_makes_no_second_job_unless_it_is_to(service: Server, url: str, dry_run: str) -> None:
    first = jobsvc(url, "apply", dry_run)
    assert first.exit == 0, first.err
    refused = jobsvc(url, "apply", dry_run)
    assert refused.exit == 6
    assert f"it was applied already, as {first.lines[0]}; --again makes another job of it" in refused.err
    again = jobsvc(url, "apply", dry_run, "--again", "--json")
    assert json.loads(again.out)["applied_from"] == dry_run
    assert len(service.job(dry_run)["applied_as"]) == 2


def test_apply_says_why_it_can_not_be(url: str, service: Server, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(MIXED)
    job_id = service.upload(file)
    service.wait_for(job_id, "succeeded")
    found = jobsvc(url, "apply", job_id)
    assert (found.exit, found.out) == (6, "")
    assert "it is no dry run" in found.err
    assert jobsvc(url, "apply", "nobody-baselineCSV-1575836394-8469").exit == 5
