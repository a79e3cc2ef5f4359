"""What is sent: a job as it is after it ended or paused."""

from __future__ import annotations

import json
import secrets
from datetime import datetime

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import job_json, moment
from jobsvc.store.queries import job_rows, webhook_rows


def put(connection: Connection, job_key: JobKey, at: datetime) -> None:
    """Put a message about a job, as this transaction sees it, into the outbox. It is due at once."""
    job = Job.from_row(job_rows.by_key(connection, job_key))
    assert job.callback_url is not None
    payload = {"type": f"job.{job.state}", "timestamp": moment(at, "milliseconds"), "data": job_json(job)}
    webhook_rows.add(
        connection,
        job_key,
        message_id=f"msg_{secrets.token_urlsafe(18)}",
        url=job.callback_url,
        # ASCII, so that the bytes that are signed don't depend on anybody's encoding.
        body=json.dumps(payload, separators=(",", ":")),
        at=at,
    )
