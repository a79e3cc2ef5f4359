"""What the jobs made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from jobsvc.web import parameters
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("data", __name__)


@bp.get("/records")
@takes("job", "limit", "after")
def records() -> dict[str, Any]:
    after = parameters.after(2)
    found, following = services().results.records(
        limit=parameters.limit(), after=(after[0], after[1]) if after else None, job_id=parameters.text("job")
    )
    return {"records": found, "next": None if following is None else f"{following[0]}.{following[1]}"}


@bp.get("/teams")
@takes("job", "limit", "after")
def teams() -> dict[str, Any]:
    after = parameters.after(1)
    found, following = services().results.teams(
        limit=parameters.limit(), after=after[0] if after else None, job_id=parameters.text("job")
    )
    return {"teams": found, "next": None if following is None else str(following)}
