"""The job resource."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

from flask import Blueprint, Response, request, send_file
from werkzeug.datastructures import Headers
from werkzeug.exceptions import PreconditionFailed, RequestedRangeNotSatisfiable
from werkzeug.wsgi import FileWrapper

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import CantRollBack, FilesRemoved, NotAllowed, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.representation import event_json, job_json, log_json, samples_json, webhook_json
from jobsvc.jobs.states import STOPPING
from jobsvc.service.following.follower import RETRY_SECONDS
from jobsvc.service.results import NoResult
from jobsvc.web import auditing, parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.conditional import conditional, list_tag
from jobsvc.web.json_list import json_list
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import given, takes

PIECE_BYTES = 256 * 1024
"""How much of a result is sent at a time, where the server does not send the file by itself."""

bp = Blueprint("jobs", __name__, url_prefix="/jobs")

STEERED = {200: "Job", 202: "Job"}
CSV = Raw.of("text/csv")
CONDITIONS = (PreconditionFailed, RequestedRangeNotSatisfiable)


@bp.get("")
@needs(Right.LOOK)
@takes("state", "kind", "user", "text", "limit", "after")
@answers({200: "Jobs", 304: None}, PreconditionFailed)
def listing() -> Response:
    """The jobs, the newest first, in pages."""
    after = parameters.after(1)
    page = authorized().page(parameters.listed(), limit=parameters.limit(), after=after[0] if after else None)
    jobs = [job_json(job) for job in page.jobs]
    following = None if page.next is None else str(page.next)
    # The versions stand for all that is in it, and cost less than to write it down.
    tag = list_tag([*(job["version"] for job in jobs), str(following)])
    return conditional({"jobs": jobs, "next": following}, tag)


@bp.get("/<job_id>")
@needs(Right.LOOK)
@takes("wait", "unless")
@answers({200: "Job", 304: None}, UnknownJob, PreconditionFailed)
def one(job_id: str) -> Response:
    """One job. Waits, if it is to, until it is no longer as the client knows it."""
    unless = parameters.unless()
    if unless is None:
        return _current(authorized().get(job_id))
    followed = authorized().follow(job_id, unless, parameters.wait(), request.environ.get(services().place))
    answer = _current(followed.job)
    if followed.turned_away:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


def _current(job: Job) -> Response:
    shown = job_json(job)
    return conditional(shown, shown["version"])


@bp.delete("/<job_id>")
@needs(Right.STEER, Act.DELETE)
@takes()
@answers({204: None}, UnknownJob, NotAllowed)
def delete(job_id: str) -> tuple[str, int]:
    """Forget a finished job, with its files; what it made stays."""
    authorized().forget(job_id)
    return "", 204


@bp.get("/<job_id>/events")
@needs(Right.LOOK)
@takes()
@answers({200: "Events", 304: None}, UnknownJob, PreconditionFailed)
def events(job_id: str) -> Response:
    """A job's history: when it went from which state to which, who did it, and why."""
    return json_list("events", partial(authorized().events, job_id), event_json)


@bp.get("/<job_id>/log")
@needs(Right.LOOK)
@takes("limit", "after")
@answers("Log", UnknownJob)
def log(job_id: str) -> dict[str, Any]:
    """What a job's runs and its kind have said, the oldest first, in pages; the newest thousand lines are kept."""
    after = parameters.after(1)
    page = authorized().log(job_id, after[0] if after else 0, parameters.limit())
    return {"lines": log_json(page.lines, page.after), "next": None if page.next is None else str(page.next)}


@bp.get("/<job_id>/samples")
@needs(Right.LOOK)
@takes()
@answers({200: "Samples", 304: None}, UnknownJob, PreconditionFailed)
def samples(job_id: str) -> Response:
    """How far a job was over its life, and how fast: at most some hundred samples, however long it runs."""
    return conditional(samples_json(services().samples.of(authorized().get(job_id))))


@bp.get("/<job_id>/webhooks")
@needs(Right.LOOK)
@takes()
@answers({200: "Webhooks", 304: None}, UnknownJob, PreconditionFailed)
def webhooks(job_id: str) -> Response:
    """What was sent to a job's callback URL, or will be."""
    return json_list("webhooks", partial(authorized().webhooks, job_id), webhook_json)


@bp.post("/<job_id>/pause")
@needs(Right.STEER, Act.PAUSE)
@takes("wait", in_body=True)
@answers(STEERED, UnknownJob, NotAllowed)
def pause(job_id: str) -> tuple[dict[str, Any], int]:
    """Pause a job; 202: its run has not obeyed yet."""
    return _steered(authorized().pause(job_id, parameters.wait()))


@bp.post("/<job_id>/resume")
@needs(Right.STEER, Act.RESUME)
@takes("wait", in_body=True)
@answers(STEERED, UnknownJob, NotAllowed, FilesRemoved)
def resume(job_id: str) -> tuple[dict[str, Any], int]:
    """Let a job go on where it stopped."""
    return _steered(authorized().resume(job_id, parameters.wait()))


@bp.post("/<job_id>/terminate")
@needs(Right.STEER, Act.TERMINATE)
@takes("wait", "rollback", in_body=True)
@answers(STEERED, UnknownJob, NotAllowed, CantRollBack)
def terminate(job_id: str) -> tuple[dict[str, Any], int]:
    """Terminate a job; 202: its run has not obeyed yet, or the rollback is under way."""
    rollback = parameters.flag("rollback", given().get("rollback"))
    if rollback:
        auditing.call(Act.ROLL_BACK)
    return _steered(authorized().terminate(job_id, parameters.wait(), rollback=rollback))


@bp.post("/<job_id>/rollback")
@needs(Right.STEER, Act.ROLL_BACK)
@takes("wait", in_body=True)
@answers(STEERED, UnknownJob, NotAllowed, CantRollBack)
def rollback(job_id: str) -> tuple[dict[str, Any], int]:
    """Remove what a finished job has made; 202: the rollback is under way."""
    return _steered(authorized().roll_back(job_id, parameters.wait()))


@bp.get("/<job_id>/failed")
@needs(Right.LOOK, Act.DOWNLOAD_FAILED)
@takes()
@answers(CSV, UnknownJob, FilesRemoved)
def failed(job_id: str) -> Response:
    """The rows that were refused, as CSV, each with its line and the reason."""
    job = authorized().get(job_id)
    return _csv(services().left_over.failed(job), f"{job.id}-failed.csv")


@bp.get("/<job_id>/unprocessed")
@needs(Right.LOOK, Act.DOWNLOAD_UNPROCESSED)
@takes()
@answers(CSV, UnknownJob, NoResult, NotAllowed, FilesRemoved)
def unprocessed(job_id: str) -> Response:
    """The header, and the rows that the job has not reached, as they were uploaded."""
    job = authorized().get(job_id)
    return _csv(services().left_over.unprocessed(job), f"{job.id}-unprocessed.csv")


def _csv(pieces: Iterator[bytes], name: str) -> Response:
    # If nothing can be read, the answer must be a problem document, and wait no longer than others.
    first = list(islice(pieces, 1))
    return Response(
        chain(first, pieces), mimetype="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )


@bp.get("/<job_id>/result")
@needs(Right.LOOK, Act.DOWNLOAD_RESULT)
@takes()
@answers({200: CSV, 206: CSV, 304: None}, UnknownJob, NoResult, NotAllowed, FilesRemoved, *CONDITIONS)
def result(job_id: str) -> Response:
    """The export, as a download, or ranges of it."""
    job = authorized().get(job_id)
    found = authorized().result(job)
    name = f"{job.id}.csv"
    if found.path is not None:
        return send_file(
            found.path.absolute(), mimetype="text/csv", as_attachment=True, download_name=name, conditional=True
        )
    headers = Headers({"Content-Length": str(found.size)})
    headers.set("Content-Disposition", "attachment", filename=name)
    # Werkzeug's own wrapper and not the server's, which can't seek to where a range begins.
    body = FileWrapper(services().results.open(found), PIECE_BYTES)
    answer = Response(body, mimetype="text/csv", headers=headers, direct_passthrough=True)
    answer.last_modified = found.modified
    # A result never changes: its job and the run that made it stand for its content.
    answer.set_etag(f"{job.id}-{job.attempt}")
    answer.make_conditional(request, accept_ranges=True, complete_length=found.size)
    return answer


def _steered(job: Job) -> tuple[dict[str, Any], int]:
    """202 while the job is still on its way to where it was sent."""
    return job_json(job), 202 if job.state in STOPPING else 200
