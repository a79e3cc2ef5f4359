"""The job resource."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, send_file

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.web import parameters
from jobsvc.web.representation import event_json, job_json
from jobsvc.web.services import services, user

bp = Blueprint("jobs", __name__, url_prefix="/jobs")


@bp.get("")
def listing() -> dict[str, Any]:
    after = parameters.after(1)
    jobs, following = services().jobs.page(
        limit=parameters.limit(),
        after=after[0] if after else None,
        state=parameters.state(),
        kind=parameters.text("kind"),
        user=parameters.text("user"),
    )
    return {"jobs": [job_json(job) for job in jobs], "next": None if following is None else str(following)}


@bp.get("/<job_id>")
def one(job_id: str) -> dict[str, Any]:
    return job_json(services().jobs.get(job_id))


@bp.get("/<job_id>/events")
def events(job_id: str) -> dict[str, Any]:
    return {"events": [event_json(event) for event in services().jobs.events(job_id)]}


@bp.post("/<job_id>/pause")
def pause(job_id: str) -> tuple[dict[str, Any], int]:
    return _steered(services().jobs.pause(job_id, user(), parameters.wait()))


@bp.post("/<job_id>/resume")
def resume(job_id: str) -> tuple[dict[str, Any], int]:
    return _steered(services().jobs.resume(job_id, user(), parameters.wait()))


@bp.post("/<job_id>/terminate")
def terminate(job_id: str) -> tuple[dict[str, Any], int]:
    return _steered(services().jobs.terminate(job_id, user(), parameters.wait()))


@bp.get("/<job_id>/result")
def result(job_id: str) -> Response:
    job = services().jobs.get(job_id)
    path = services().results.file(job)
    return send_file(
        path.absolute(), mimetype="text/csv", as_attachment=True, download_name=f"{job.id}.csv", conditional=True
    )


def _steered(job: Job) -> tuple[dict[str, Any], int]:
    """202 while the job is still on its way to where it was sent."""
    return job_json(job), 202 if job.state in (State.PAUSING, State.TERMINATING) else 200
