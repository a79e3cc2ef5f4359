"""What the jobs made."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from jobsvc.access.roles import Right
from jobsvc.jobs.errors import UnknownJob
from jobsvc.service.results import RecordPlace
from jobsvc.web import parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.openapi.answers import answers
from jobsvc.web.takes import takes

bp = Blueprint("data", __name__)


@bp.get("/records")
@needs(Right.LOOK)
@takes("job", "limit", "after")
@answers("Records", UnknownJob)
def records() -> Response:
    """What baselineCSV jobs made, in pages."""
    after = parameters.after(2)
    page = authorized().records(
        limit=parameters.limit(), after=RecordPlace(*after) if after else None, job_id=parameters.text("job")
    )
    # As they come, and not as objects: a page holds hundreds of thousands of fields.
    after_last = "null" if page.next is None else f'"{page.next.job_key}.{page.next.row}"'
    pieces = [b'{"records":[', b",".join(page.records), f'],"next":{after_last}}}\n'.encode()]
    return Response(b"".join(pieces), mimetype="application/json")


@bp.get("/teams")
@needs(Right.LOOK)
@takes("job", "limit", "after")
@answers("Teams", UnknownJob)
def teams() -> dict[str, Any]:
    """What bulkTeam jobs made, in pages."""
    after = parameters.after(1)
    page = authorized().teams(
        limit=parameters.limit(), after=after[0] if after else None, job_id=parameters.text("job")
    )
    return {"teams": page.teams, "next": None if page.next is None else str(page.next)}
