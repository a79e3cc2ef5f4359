"""What the jobs made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from jobsvc.web import parameters
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("data", __name__)


@bp.get("/records")
@takes("job", "limit", "after")
def records() -> Response:
    after = parameters.after(2)
    found, following = services().results.records(
        limit=parameters.limit(), after=(after[0], after[1]) if after else None, job_id=parameters.text("job")
    )
    # As they come, and not as objects: a page holds hundreds of thousands of fields.
    after_last = "null" if following is None else f'"{following[0]}.{following[1]}"'
    pieces = [b'{"records":[', b",".join(found), f'],"next":{after_last}}}\n'.encode()]
    return Response(b"".join(pieces), mimetype="application/json")


@bp.get("/teams")
@takes("job", "limit", "after")
def teams() -> dict[str, Any]:
    after = parameters.after(1)
    found, following = services().results.teams(
        limit=parameters.limit(), after=after[0] if after else None, job_id=parameters.text("job")
    )
    return {"teams": found, "next": None if following is None else str(following)}
