"""Previews, and what jobs then make of the same files."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.waiting import Commits

BYTES = "application/octet-stream"

SHOWN = 20


def ask(client: FlaskClient, data: bytes, **options: Any) -> TestResponse:
    """Ask for the preview of a file, or of its beginning."""
    return client.post("/previews", query_string=options, data=data, content_type=BYTES)


def preview(client: FlaskClient, data: bytes, **options: Any) -> dict[str, Any]:
    """The same, of a request with which nothing is wrong."""
    answer = ask(client, data, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def assert_as_a_job(client: FlaskClient, commits: Commits, data: bytes, kind: str, **options: Any) -> dict[str, Any]:
    """What the preview of a whole file says is what becomes of it once it is uploaded. Returns the preview."""
    asked = ask(client, data, kind=kind, **options)
    made = client.post(f"/kinds/{kind}/jobs", query_string=options, data=data, content_type=BYTES)
    if asked.status_code != 200:
        # The request can't be used, by either.
        assert (asked.status_code, asked.get_json()) == (made.status_code, made.get_json())
        return {}
    found: dict[str, Any] = asked.get_json()
    assert found["file"]["whole"]
    error = found["error"] or {"at": None, "message": None, "parameter": None}
    if made.status_code != 201:
        problem = made.get_json()
        assert error["at"] == "upload"
        assert problem["detail"].removeprefix(f"{error['parameter']}: ") == error["message"]
        assert problem.get("parameter") == error["parameter"]
        return found
    job = _ended(client, commits, made.get_json()["id"])
    assert error["at"] in (None, "job")
    assert job["error"] == error["message"]
    assert job["state"] == ("succeeded" if found["error"] is None else "failed")
    assert found["params"] == job["params"]
    assert found["warnings"] == job["warnings"]
    if job["error"] is not None and not job["progress"]["done"] and not job["progress"]["failed"]:
        # It could not begin; the preview shows what is in the file all the same.
        return found
    progress = job["progress"]
    assert found["counts"] == {name: progress[name] for name in ("done", "failed", "blank")}
    assert found["rows"] == _made(client, job["id"], kind)[:SHOWN]
    refused = _refused(client, job["id"])
    assert [(row["line"], row["error"]) for row in found["refused"]] == refused[:SHOWN]
    assert sum(reason["count"] for reason in found["reasons"]) == progress["failed"]
    assert {reason["error"] for reason in found["reasons"]} <= {error for _, error in refused}
    if not found["error"]:
        assert found["estimate"] == {"rows": progress["done"] + progress["failed"], "exact": True}
    return found


def _ended(client: FlaskClient, commits: Commits, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = {}

    def has_ended() -> bool:
        job.update(client.get(f"/jobs/{job_id}").get_json())
        return job["state"] in ("succeeded", "failed")

    commits.wait_for(has_ended, f"{job_id} to end")
    return job


def _made(client: FlaskClient, job_id: str, kind: str) -> list[dict[str, Any]]:
    what = "teams" if kind == "bulkTeam" else "records"
    found = client.get(f"/{what}?job={job_id}&limit=1000").get_json()[what]
    return [{name: value for name, value in row.items() if name not in ("id", "job_id")} for row in found]


def _refused(client: FlaskClient, job_id: str) -> list[tuple[int | None, str]]:
    """The lines and the reasons of a job's refused rows."""
    services = client.application.extensions["jobsvc"]
    pages = services.left_over._refused(services.jobs.get(job_id))
    return [(refusal.line, refusal.error) for page in pages for refusal in page]
