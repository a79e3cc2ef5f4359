"""`list`, `show`, `events`, `kinds`, `workers`, at a real server."""

from __future__ import annotations

import pytest

from tests.support.server import Server, free_port
from tests.support.shell import jobsvc


@pytest.fixture(scope="module")
def job_id(service: Server) -> str:
    """A job that has succeeded."""
    status, job = service.post("/kinds/ticks/jobs", {"count": 1, "seconds": 0})
    assert status == 201, job
    service.wait_for(job["id"], "succeeded")
    found: str = job["id"]
    return found


def test_list_finds_jobs_by_state_kind_and_user_and_says_what_it_prints(url: str, job_id: str) -> None:
    head, *rows = jobsvc(url, "list", "--state", "succeeded", "--kind", "ticks", "--user", "Jon-Doe").lines
    assert head.split("\t") == ["ID", "STATE", "PERCENT", "DONE", "REFUSED", "CREATED", "FILE"]
    assert f"{job_id}\tsucceeded\t100.0\t1\t0" in "\n".join(rows)
    assert len(jobsvc(url, "list", "--user", "nobody").lines) == 1
    several = jobsvc(url, "list", "--state", "succeeded,failed", "--text", job_id.upper(), "--json")
    assert [job["id"] for job in several.json["jobs"]] == [job_id]
    none = jobsvc(url, "list", "--text", "no such text")
    assert none.err == "There is no job with --text no such text.\n"


def test_list_has_priorities_where_one_is_not_normal(service: Server, job_id: str) -> None:
    low, high = (
        service.post("/kinds/tocks/jobs", {"count": 1, "priority": priority})[1]["id"] for priority in ("low", "high")
    )
    normal = service.post("/kinds/tocks/jobs", {"count": 1})[1]["id"]
    head, *rows = (line.split("\t") for line in jobsvc(service.url, "list", "--kind", "tocks").lines)
    assert head == ["ID", "STATE", "PERCENT", "DONE", "REFUSED", "CREATED", "PRIORITY", "FILE"]
    told = {row[0]: row[6] for row in rows}
    assert [told[job] for job in (low, high, normal)] == ["low", "high", "normal"]
    assert "PRIORITY" not in jobsvc(service.url, "list", "--text", job_id).lines[0]


def test_list_follows_pages_up_to_its_limit_and_says_that_there_is_more(service: Server, job_id: str) -> None:
    service.post("/kinds/ticks/jobs", {"count": 1, "seconds": 0})
    found = jobsvc(service.url, "list", "--limit", "1", "--json")
    assert (found.exit, len(found.json["jobs"])) == (0, 1)
    assert found.json["next"] is not None
    assert "There are more than these 1" in jobsvc(service.url, "list", "--limit", "1").err
    assert job_id in {job["id"] for job in jobsvc(service.url, "list", "--limit", "5000", "--json").json["jobs"]}


def test_a_state_that_is_none_is_refused_with_those_there_are(url: str) -> None:
    found = jobsvc(url, "list", "--state", "gone")
    assert found.exit == 2
    assert "'queued', 'running'" in found.err


def test_show_prints_a_job_for_people_and_for_scripts(service: Server, job_id: str) -> None:
    assert jobsvc(service.url, "show", job_id, "--json").json == service.job(job_id)
    found = jobsvc(service.url, "show", job_id)
    assert "state:       succeeded" in found.lines
    assert "done:        1 row" in found.lines


@pytest.mark.parametrize("command", ["show", "watch", "events"])
def test_a_job_that_is_not_there_is_told_and_has_an_exit_code(url: str, command: str) -> None:
    assert jobsvc(url, command, "no such? job").err == "Error: there is no job 'no such? job'\n"
    assert jobsvc(url, command, "nope").err == "Error: there is no job 'nope'\n"
    assert jobsvc(url, command, "nope", "--json").error == {"error": "there is no job 'nope'", "status": 404, "exit": 5}


def test_events_tell_who_changed_the_state_and_why(service: Server, job_id: str) -> None:
    rows = [line.split("\t")[1:] for line in jobsvc(service.url, "events", job_id).lines]
    assert rows[1] == ["-", "queued", "Jon-Doe", "the job was submitted"]
    assert jobsvc(service.url, "events", job_id, "--json").json == service.get(f"/jobs/{job_id}/events")


def test_kinds_are_listed_and_one_is_told_with_its_parameters(service: Server) -> None:
    assert "bulkTeam\tyes\tyes" in jobsvc(service.url, "kinds").out
    assert "count\tmust be given" in jobsvc(service.url, "kinds", "ticks").out
    assert "dry_run\tno\tread and check everything, but make nothing" in jobsvc(service.url, "kinds", "bulkTeam").out
    assert jobsvc(service.url, "kinds", "--json").json == service.get("/kinds")
    assert jobsvc(service.url, "kinds", "nope").exit == 5


def test_workers_are_listed(service: Server) -> None:
    (worker,) = jobsvc(service.url, "workers", "--json").json["workers"]
    assert f"{worker['name']}\tyes\t{worker['pid']}" in jobsvc(service.url, "workers").out


def test_a_service_that_is_not_there_is_told_with_its_url() -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    found = jobsvc(nowhere, "list")
    assert found.exit == 7
    assert found.err.splitlines() == [
        f"Error: {nowhere} (from JOBSVC_URL) can't be reached: nothing listens there",
        "Is the service running, and is JOBSVC_URL right? --url names another.",
    ]
    named = jobsvc("", "list", "--url", nowhere).err
    assert f"{nowhere} (from --url) can't be reached" in named
    assert "is --url right?" in named


def test_an_option_that_is_given_twice_is_refused(url: str) -> None:
    found = jobsvc(url, "list", "--state", "failed", "--state", "paused")
    assert (found.exit, "--state is given 2 times; it takes one value" in found.err) == (2, True), found.err
    assert jobsvc(url, "list", "--json", "--json").exit == 0


def test_a_list_without_a_job_says_why(url: str) -> None:
    found = jobsvc(url, "list", "--kind", "nope")
    assert (found.exit, found.err.startswith("Error: there is no kind 'nope'; there are ")) == (5, True), found.err
    found = jobsvc(url, "list", "--kind", "ticks", "--user", "nobody")
    assert (found.exit, found.err) == (0, "There is no job with --kind ticks --user nobody.\n")


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "ftp://x", "http://", "http://x:port", "http://x/?a=b"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    found = jobsvc("", "list", "--url", url)
    assert found.exit == 2
    assert "is not usable: it must be http://host:port" in found.err


def test_ctrl_c_has_an_exit_code_of_its_own(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jobsvc.cli.client.api.Api.get", interrupted)
    found = jobsvc(url, "workers")
    assert (found.exit, found.err) == (130, "Broken off.\n")
