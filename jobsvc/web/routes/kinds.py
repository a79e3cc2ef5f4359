"""The kinds of job there are, and creating a job of any of them."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import InvalidParameter, KeyReused, QueueFull, UnknownJob, UnknownKind
from jobsvc.jobs.representation import job_json
from jobsvc.kinds.contract import Kind
from jobsvc.web.access import needs
from jobsvc.web.conditional import conditional
from jobsvc.web.creation import create_from_fields, create_from_upload
from jobsvc.web.openapi.answers import EACH_KIND, answers
from jobsvc.web.problems import OF_USERS
from jobsvc.web.services import services
from jobsvc.web.takes import fields, takes

bp = Blueprint("kinds", __name__, url_prefix="/kinds")


@bp.get("")
@needs(Right.LOOK)
@takes()
@answers({200: "Kinds", 304: None}, PreconditionFailed)
def listing() -> Response:
    """The kinds of job, with the JSON schema of their parameters."""
    return conditional({"kinds": [_kind_json(kind) for kind in services().kinds.values()]})


@bp.get("/<name>")
@needs(Right.LOOK)
@takes()
@answers({200: "Kind", 304: None}, UnknownKind, PreconditionFailed)
def one(name: str) -> Response:
    """One kind of job."""
    return conditional(_kind_json(_find(name)))


@bp.route("/<name>/jobs", methods=["POST", "PUT"])
@needs(Right.START, Act.SUBMIT)
@takes(reads_body=True, reads_query=True)
@answers({201: "Job"}, UnknownKind, UnknownJob, KeyReused, QueueFull, *OF_USERS, creates=EACH_KIND)
def create(name: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Create a job of a kind."""
    kind = _find(name)
    if not kind.takes_file:
        for option in request.args:
            raise InvalidParameter(option, f"jobs of {kind.name} take no file: their parameters belong in the body")
    job = create_from_upload(kind) if kind.takes_file else create_from_fields(kind, fields())
    return job_json(job), 201, {"Location": f"/jobs/{job.id}"}


def _find(name: str) -> Kind:
    kinds = services().kinds
    if name not in kinds:
        raise UnknownKind(name, sorted(kinds))
    return kinds[name]


def _kind_json(kind: Kind) -> dict[str, Any]:
    description = (type(kind).__doc__ or "").strip()
    return {
        "name": kind.name,
        "description": description,
        "items": kind.items,
        "takes_file": kind.takes_file,
        "can_roll_back": kind.can_undo,
        "params": kind.Params.model_json_schema(by_alias=True),
        "links": {"jobs": f"/kinds/{kind.name}/jobs"},
    }
