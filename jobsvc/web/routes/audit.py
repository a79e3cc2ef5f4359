"""Who did what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.representation import moment
from jobsvc.web import parameters
from jobsvc.web.access import needs
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("audit", __name__, url_prefix="/audit")


@bp.get("")
@needs(Right.MANAGE, Act.READ_AUDIT)
@takes("user", "action", "target", "limit", "after")
@answers("AuditLines")
def listing() -> dict[str, Any]:
    """Who did what, from where, with what outcome, the newest first, in pages."""
    after = parameters.after(1)
    page = services().audit.page(
        limit=parameters.limit(),
        after=after[0] if after else None,
        user=parameters.text("user"),
        act=_act(),
        target=parameters.text("target"),
    )
    return {"lines": [line_json(line) for line in page.lines], "next": None if page.next is None else str(page.next)}


def line_json(line: Mapping[str, Any]) -> dict[str, Any]:
    return {**line, "at": moment(line["at"], "milliseconds")}


def _act() -> Act | None:
    text = parameters.text("action")
    if text is None:
        return None
    try:
        return Act(text)
    except ValueError:
        raise InvalidParameter("action", f"{text[:40]!r} must be one of {', '.join(Act)}") from None
