"""Check first, then apply: what a job has found in its file."""

from __future__ import annotations

from flask import Blueprint, Response
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.roles import Right
from jobsvc.jobs.errors import UnknownJob
from jobsvc.service.checking.report import MOST_ROWS
from jobsvc.web import parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.conditional import conditional
from jobsvc.web.openapi import report_shapes
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("checking", __name__, url_prefix="/jobs")


@bp.get("/<job_id>/report")
@needs(Right.LOOK)
@takes("refused")
@answers({200: report_shapes.Report, 304: None}, UnknownJob, PreconditionFailed)
def report(job_id: str) -> Response:
    """What a job has found in its file: how many rows were done, and why others were refused."""
    refused = parameters.count("refused", MOST_ROWS)
    return conditional(services().reports.of(authorized().get(job_id), refused))
