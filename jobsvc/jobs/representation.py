"""Jobs as JSON, as clients and webhooks get to see them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from jobsvc.jobs.job import Job


def moment(at: datetime | None, timespec: str = "seconds") -> str | None:
    """A moment as RFC 3339 has it, in UTC."""
    return None if at is None else at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


_LINKS = ("events", "webhooks", "pause", "resume", "terminate", "rollback", "failed", "unprocessed", "result")


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
        "filename": job.filename,
        "callback_url": job.callback_url,
        "error": job.error,
        "attempt": job.attempt,
        "rolled_back": job.rolled_back,
        "rollback": None if job.rollback_percent is None else {"percent": job.rollback_percent},
        "links": {
            "self": f"/jobs/{job.id}",
            **{name: f"/jobs/{job.id}/{name}" for name in _LINKS},
            "records": f"/records?job={job.id}",
            "teams": f"/teams?job={job.id}",
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


def webhook_json(message: RowMapping) -> dict[str, Any]:
    return {
        "id": message["message_id"],
        "type": json.loads(message["body"])["type"],
        "url": message["url"],
        "created_at": moment(message["created_at"], "milliseconds"),
        "attempts": message["attempts"],
        "next_at": moment(message["next_at"], "milliseconds"),
        "delivered_at": moment(message["delivered_at"], "milliseconds"),
        "last_error": message["last_error"],
    }
