"""The four routes of the original, with its paths, fields, answers and error codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any, NamedTuple

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import (
    CantRollBack,
    FilesRemoved,
    InvalidParameter,
    JobError,
    KeyReused,
    LimitReached,
    NotAllowed,
    QueueFull,
    UnknownJob,
)
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import RAN_TO_ITS_END, STOPPING
from jobsvc.web import auditing, parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.creation import create_from_fields, create_from_upload
from jobsvc.web.openapi.answers import answers
from jobsvc.web.problems import NO_ROOM, ROOM_RETRY_SECONDS, job_problem, no_room_detail, told
from jobsvc.web.services import services
from jobsvc.web.takes import unchecked
from jobsvc.web.uploads.receive import UploadRefused

bp = Blueprint("original", __name__)

AS_EVER = "the original let pass what it didn't know"
as_ever = unchecked(AS_EVER)

ANYWHERE = {413: ("file_too_large",), 429: ("too_many_requests",), 507: ("disk_full",)}
CREATING = {
    **ANYWHERE,
    429: ("too_many_requests", "too_many_queued"),
    503: ("queue_full",),
    507: ("disk_full", "too_much_stored"),
}
REFUSED_UPLOADS = {
    400: ("File not accepted", "invalid_<field>"),
    **CREATING,
    429: ("too_many_requests", "too_many_queued", "too_many_uploads"),
}
REFUSED_EXPORTS = {
    400: (
        "invalid_json",
        "invalid_from_date",
        "invalid_to_date",
        "invalid_date_range",
        "invalid_job",
        "invalid_<field>",
    ),
    **CREATING,
}
REFUSED_ACTIONS = {
    400: ("invalid_id", "invalid_action", "invalid_rollback"),
    404: ("id_doesn't_exist",),
    409: ("job_finished", "job_stopping"),
    **ANYWHERE,
}

OF_UPLOADS = "baselineCSV"
"""The kind of job that an upload makes where nobody names one."""

ACKNOWLEDGE_SECONDS = 5.0
"""For how long /updateTask waits for the run to obey."""

NO_EXPORT = 'the body must be a JSON object with two dates: {"from": "2018-07-01", "to": "2018-08-01"}'

RANGE = ("from", "to")
"""The fields of /exportData that must be there."""


@bp.route("/uploadCSV", methods=["POST", "PUT"])
@needs(Right.START, Act.SUBMIT)
@as_ever
@answers("JobId", KeyReused, creates=OF_UPLOADS, original=REFUSED_UPLOADS)
def upload_csv() -> dict[str, Any]:
    """Upload a CSV, every row of which becomes a record."""
    return _upload(OF_UPLOADS)


@bp.route("/createBulkTeam", methods=["POST", "PUT"])
@needs(Right.START, Act.SUBMIT)
@as_ever
@answers("JobId", KeyReused, creates="bulkTeam", original=REFUSED_UPLOADS)
def create_bulk_team() -> dict[str, Any]:
    """Upload a CSV, every row of which becomes a team."""
    return _upload("bulkTeam")


def _upload(kind: str) -> dict[str, Any]:
    return {"Job ID": create_from_upload(services().kinds[kind]).id}


@bp.post("/exportData")
@needs(Right.START, Act.SUBMIT)
@as_ever
@answers("JobId", KeyReused, creates="createExport", original=REFUSED_EXPORTS)
def export_data() -> dict[str, Any] | tuple[Response, int]:
    """Export the records of every date in a range to a CSV."""
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError):
        return _error("invalid_json", 400, NO_EXPORT)
    # Both, before either is judged as a date: without two texts it is no request for an export.
    if not isinstance(body, dict) or not all(isinstance(body.get(name), str) and body[name] for name in RANGE):
        return _error("invalid_json", 400, NO_EXPORT)
    days: dict[str, date] = {}
    for name in RANGE:
        try:
            days[name] = _iso_date(body[name])
        except ValueError:
            return _error(f"invalid_{name}_date", 400, f"{name}: {body[name][:40]!r} must be a date, YYYY-MM-DD")
    if days["from"] > days["to"]:
        return _error("invalid_date_range", 400, f"from, {days['from']}, is after to, {days['to']}")
    if body.get("job") is not None:
        try:
            authorized().check_made(str(body["job"]))
        except UnknownJob as error:
            return _error("invalid_job", 400, str(error))
    return {"Job ID": create_from_fields(services().kinds["createExport"], body).id}


def _iso_date(text: str) -> date:
    """A date of the form YYYY-MM-DD, and no other that ISO 8601 allows. Raises ValueError."""
    day = date.fromisoformat(text)
    if day.isoformat() != text:
        raise ValueError(text)
    return day


@bp.route("/updateTask", methods=["GET", "POST"])
@needs(Right.STEER, Act.STEER, get_changes=True)
@unchecked(AS_EVER, "id", "action", "rollback")
@answers({200: "Status", 202: "Status"}, FilesRemoved, CantRollBack, original=REFUSED_ACTIONS)
def update_task() -> tuple[Response, int]:
    """Start, stop or terminate a job; 202: its run has not obeyed yet, but will."""
    if request.method == "HEAD":
        # Flask adds it to GET; a HEAD must not steer.
        raise MethodNotAllowed(["GET", "POST"])
    job_id = request.values.get("id", "").strip()
    if not job_id:
        return _error("invalid_id", 400, "id is missing: it must be a job's id, as in ?id=…&action=stop")
    auditing.call(Act.STEER, job_id)
    action = request.values.get("action", "").strip()
    if action not in _ACTIONS:
        # That there is no such job comes first.
        authorized().get(job_id)
        return _error("invalid_action", 400, f"action: {action[:40]!r} must be one of {', '.join(_ACTIONS)}")
    found = _ACTIONS[action]
    auditing.call(found.audited_as, job_id)
    if action != "terminate" and parameters.flag("rollback", request.values.get("rollback")):
        raise InvalidParameter("rollback", f"only a terminate can roll back, not a {action}")
    job = found.act(job_id)
    if job.state in STOPPING:
        return jsonify(status=f"Job {job.id} {found.under_way}."), 202
    if action == "stop" and job.state in RAN_TO_ITS_END:
        # It was over before the stop could reach it.
        raise NotAllowed(job.id, job.state, "stopped")
    return jsonify(status=f"Job {job.id} {found.done}."), 200


class _Action(NamedTuple):
    """What an action does to a job, and what the answer calls that once it is done, and before."""

    act: Callable[[str], Job]
    done: str
    under_way: str
    audited_as: Act


def _terminate(job_id: str) -> Job:
    rollback = parameters.flag("rollback", request.values.get("rollback"))
    if rollback:
        auditing.call(Act.ROLL_BACK, job_id)
    return authorized().terminate(job_id, ACKNOWLEDGE_SECONDS, rollback=rollback)


_ACTIONS = {
    "start": _Action(
        lambda job_id: authorized().resume(job_id, ACKNOWLEDGE_SECONDS), "started", "starting", Act.RESUME
    ),
    "stop": _Action(lambda job_id: authorized().pause(job_id, ACKNOWLEDGE_SECONDS), "stopped", "stopping", Act.PAUSE),
    "terminate": _Action(_terminate, "terminated", "terminating", Act.TERMINATE),
}


@bp.errorhandler(UploadRefused)
def _upload_refused(error: UploadRefused) -> tuple[Response, int]:
    return _error("File not accepted", 400, error.description or "")


@bp.errorhandler(RequestEntityTooLarge)
def _too_large(error: HTTPException) -> tuple[Response, int]:
    return _error("file_too_large", 413, error.description or "")


def _no_room(error: Exception) -> tuple[Response, int]:
    answer, status = _error("disk_full", 507, message=no_room_detail(error))
    answer.headers["Retry-After"] = str(ROOM_RETRY_SECONDS)
    return answer, status


for _kind in NO_ROOM:
    bp.register_error_handler(_kind, _no_room)


@bp.errorhandler(JobError)
def _job_error(error: JobError) -> Response | tuple[Response, int]:
    match error:
        case UnknownJob():
            return _error("id_doesn't_exist", 404, str(error))
        case NotAllowed() if error.state in STOPPING:
            return _error("job_stopping", 409, str(error))
        case NotAllowed():
            return _error("job_finished", 409, str(error))
        case QueueFull() | LimitReached():
            status, kind, _ = told(type(error))
            answer, _ = _error((kind or "").replace("-", "_"), status, str(error))
            answer.headers["Retry-After"] = str(error.retry_after)
            return answer, status
        case InvalidParameter():
            return _error(f"invalid_{error.name}", 400, str(error))
    # An error that the original did not have is told as the other routes tell it.
    return job_problem(error)


def _error(error_type: str, status: int, message: str) -> tuple[Response, int]:
    return jsonify(errorType=error_type, message=message), status
