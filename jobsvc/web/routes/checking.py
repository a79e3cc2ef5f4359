"""Check first, then apply: what a job has found in its file, and the real job of a dry run's file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import Blueprint, Response
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import CantApply, KeyReused, NotAllowed, QueueFull, UnknownJob
from jobsvc.jobs.representation import job_json
from jobsvc.service.checking.report import MOST_ROWS
from jobsvc.service.new_job import Idempotency
from jobsvc.web import parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.conditional import conditional
from jobsvc.web.creation import (
    CALLBACK_URL,
    PRIORITY,
    asked_callback,
    asked_priority,
    idempotency_key,
    scope_of_request,
)
from jobsvc.web.openapi.answers import answers
from jobsvc.web.problems import OF_USERS
from jobsvc.web.services import services
from jobsvc.web.takes import given, takes

bp = Blueprint("checking", __name__, url_prefix="/jobs")


@bp.get("/<job_id>/report")
@needs(Right.LOOK)
@takes("refused")
@answers({200: "Report", 304: None}, UnknownJob, PreconditionFailed)
def report(job_id: str) -> Response:
    """What a job has found in its file: how many rows were done, and why others were refused."""
    refused = parameters.count("refused", MOST_ROWS)
    return conditional(services().reports.of(authorized().get(job_id), refused))


@bp.post("/<job_id>/apply")
@needs(Right.START, Act.SUBMIT)
@takes(PRIORITY, CALLBACK_URL, in_body=True)
@answers(
    {201: "Job"},
    *(UnknownJob, NotAllowed, CantApply, KeyReused, QueueFull, *OF_USERS),
    repeatable=True,
)
def apply(job_id: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Create the job that does what a dry run has checked, of the same file and with the same parameters."""
    priority, callback_url = asked_priority(given()), asked_callback(given())
    job = authorized().apply(job_id, priority, callback_url, _idempotency(job_id, priority, callback_url))
    return job_json(job), 201, {"Location": f"/jobs/{job.id}"}


def _idempotency(job_id: str, priority: Priority, callback_url: str | None) -> Idempotency | None:
    key = idempotency_key()
    if key is None:
        return None
    content = ["apply", job_id, callback_url, priority.word, *scope_of_request()]
    return Idempotency(key, hashlib.sha256(json.dumps(content).encode()).hexdigest())
