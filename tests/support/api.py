"""The service as a client in the same process uses it."""

from __future__ import annotations

import io
from typing import Any

from flask import Flask

from tests.support.waiting import Commits


class Api:
    def __init__(self, app: Flask, commits: Commits) -> None:
        self._client = app.test_client()
        self._commits = commits

    def upload(self, content: bytes | str, route: str = "/uploadCSV", **fields: str) -> str:
        """Upload a file; returns the job's id."""
        data = content.encode() if isinstance(content, str) else content
        answer = self._client.post(route, data={**fields, "file": (io.BytesIO(data), "the file.csv")}, buffered=True)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.get_json()["Job ID"])

    def export(self, first: str, last: str, **more: str) -> str:
        answer = self._client.post("/exportData", json={"from": first, "to": last, **more}, buffered=True)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return str(answer.get_json()["Job ID"])

    def get(self, path: str) -> Any:
        answer = self._client.get(path, buffered=True)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_json()

    def get_text(self, path: str) -> str:
        answer = self._client.get(path, buffered=True)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.get_data().decode()

    def post(self, path: str) -> tuple[int, Any]:
        answer = self._client.post(path, buffered=True)
        return answer.status_code, answer.get_json()

    def job(self, job_id: str) -> Any:
        return self.get(f"/jobs/{job_id}")

    def wait_for(self, job_id: str, *states: str) -> Any:
        """Wait until the job is in one of the states; returns it."""
        self._commits.wait_for(lambda: self.job(job_id)["state"] in states, f"{job_id} to be {' or '.join(states)}")
        return self.job(job_id)

    def succeeded(self, job_id: str) -> Any:
        """Wait until the job is over, and be sure that it succeeded."""
        job = self.wait_for(job_id, "succeeded", "failed", "terminated", "paused")
        assert job["state"] == "succeeded", job
        return job

    def records(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/records?job={job_id}&limit=1000")["records"]
        return found

    def teams(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/teams?job={job_id}&limit=1000")["teams"]
        return found
