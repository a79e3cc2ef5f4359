"""Jobs as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from flask import url_for
from sqlalchemy import RowMapping

from jobsvc.jobs.job import Job


def moment(at: datetime | None, timespec: str = "seconds") -> str | None:
    """A moment as RFC 3339 has it, in UTC."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def job_json(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "user": job.user,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(job.finished_at),
        "progress": {
            "done": job.done,
            "failed": job.failed,
            "percent": job.percent,
            "rate": job.rate,
            "eta_seconds": job.eta_seconds,
        },
        "params": dict(job.params),
        "error": job.error,
        "attempt": job.attempt,
        "rolled_back": job.rolled_back,
        "links": {
            "self": url_for("jobs.one", job_id=job.id),
            "events": url_for("jobs.events", job_id=job.id),
            "pause": url_for("jobs.pause", job_id=job.id),
            "resume": url_for("jobs.resume", job_id=job.id),
            "terminate": url_for("jobs.terminate", job_id=job.id),
            "result": url_for("jobs.result", job_id=job.id),
            "records": url_for("data.records", job=job.id),
            "teams": url_for("data.teams", job=job.id),
        },
    }


def event_json(event: RowMapping) -> dict[str, Any]:
    return {
        "at": moment(event["at"], "milliseconds"),
        "from": event["from"],
        "to": event["to"],
        "who": event["who"],
        "why": event["why"],
    }
