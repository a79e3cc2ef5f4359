"""The kinds of job there are, and creating a job of any of them."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest

from jobsvc.jobs.errors import UnknownKind
from jobsvc.jobs.representation import job_json
from jobsvc.kinds.contract import Kind
from jobsvc.web.creation import create_from_fields, create_from_upload
from jobsvc.web.services import services

bp = Blueprint("kinds", __name__, url_prefix="/kinds")


@bp.get("")
def listing() -> dict[str, Any]:
    return {"kinds": [_kind_json(kind) for kind in services().kinds.values()]}


@bp.get("/<name>")
def one(name: str) -> dict[str, Any]:
    return _kind_json(_find(name))


@bp.post("/<name>/jobs")
def create(name: str) -> tuple[dict[str, Any], int, dict[str, str]]:
    kind = _find(name)
    job = create_from_upload(kind) if kind.takes_file else create_from_fields(kind, _fields())
    return job_json(job), 201, {"Location": f"/jobs/{job.id}"}


def _find(name: str) -> Kind:
    kinds = services().kinds
    if name not in kinds:
        raise UnknownKind(name, sorted(kinds))
    return kinds[name]


def _fields() -> dict[str, Any]:
    """The parameters of a kind without an upload: a JSON object, or a form."""
    if request.mimetype in ("multipart/form-data", "application/x-www-form-urlencoded"):
        return request.form.to_dict()
    data = request.get_data()
    try:
        fields = json.loads(data) if data else {}
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadRequest("the body must be a JSON object of parameters")
    return fields


def _kind_json(kind: Kind) -> dict[str, Any]:
    description = (type(kind).__doc__ or "").strip()
    return {
        "name": kind.name,
        "description": description,
        "takes_file": kind.takes_file,
        "can_roll_back": kind.can_undo,
        "params": kind.Params.model_json_schema(by_alias=True),
        "links": {"jobs": f"/kinds/{kind.name}/jobs"},
    }
