"""The page of one job: where it stands, the buttons that change that, and all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Response, render_template, request, url_for
from markupsafe import Markup

from jobsvc.access.roles import Right
from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, State
from jobsvc.settings import Recover
from jobsvc.web import conditional
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.browsers.going_on import prefers_html
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, check_html_is_taken, large_part, page, whole
from jobsvc.web.dashboard.job import details
from jobsvc.web.dashboard.job.standing import MOST_AHEAD, items_of, looked_at, standing
from jobsvc.web.dashboard.list_page import BUSY_SECONDS, MOVING, QUIET_SECONDS
from jobsvc.web.dashboard.presenting import title
from jobsvc.web.dashboard.steering import buttons, can_delete, is_check
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

DETAILS_SECONDS = 4
"""How often a page asks whether there is something new, while the job is under way."""


@bp.get("/ui/jobs/<job_id>")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(PAGE, UnknownJob, *REFUSED)
def job(job_id: str) -> Response:
    """The page of a job."""
    try:
        found = authorized().get(job_id)
    except UnknownJob:
        if prefers_html() and authorized().existed(job_id):
            return _gone(job_id)
        raise
    more: dict[str, Any] = {}
    if "live" not in request.args:
        tag, text = _details(found)
        more = {"details": text, "details_tag": tag, "details_url": url_for(f"{bp.name}.job_details", job_id=job_id)}
    return page(
        title(found),
        "dashboard/job/page.html",
        "dashboard/job/live.html",
        lambda: _standing(found),
        job=found,
        items=items_of(found, services().kinds),
        **more,
    )


@bp.get("/ui/jobs/<job_id>/details")
@needs(Right.LOOK)
@takes()
@answers(PAGE, UnknownJob, *REFUSED)
def job_details(job_id: str) -> Response:
    """The part of a job's page that changes less often."""
    check_html_is_taken()
    found = authorized().get(job_id)
    tag = details.tag(found)
    if request.if_none_match.contains_weak(tag):
        return conditional.tagged(Response(mimetype="text/html"), tag)
    tag, text = _details(found)
    return conditional.tagged(Response(text, mimetype="text/html"), tag)


def _details(found: Job) -> tuple[str, Markup]:
    # Of the state that is shown at least: what changes meanwhile is asked for once more.
    tag = details.tag(found)
    every = DETAILS_SECONDS if found.state in MOVING else 2 * QUIET_SECONDS
    text = large_part(
        (found.key, tag),
        lambda: render_template("dashboard/job/details.html", every=every, **details.details(found)),
    )
    return tag, Markup(text)  # noqa: S704


def _standing(found: Job) -> Mapping[str, Any]:
    there = services()
    items, checks = items_of(found, there.kinds), is_check(found, there.kinds)
    rolls_back = found.rollback is not None or found.rolled_back
    moves = found.state in MOVING
    sentence = standing(
        found,
        items,
        checks=checks,
        ahead=authorized().ahead(found, MOST_AHEAD) if found.state is State.QUEUED else None,
        recovers=there.settings.recover is Recover.AUTO,
        now=datetime.now(UTC),
    )
    return {
        "job": found,
        "items": items,
        "sentence": sentence,
        "checks": checks,
        # The report, below, says it larger.
        "is_reported": checks and found.state in FINISHED,
        "rolls_back": rolls_back,
        "percent": found.rollback_percent if rolls_back else found.percent,
        "looked_at": looked_at(found),
        "moves": moves,
        "buttons": buttons(found, caller(), there.kinds),
        "can_delete": can_delete(found, caller()),
        "every": BUSY_SECONDS if moves else QUIET_SECONDS,
    }


def _gone(job_id: str) -> Response:
    """A page that says that the job was there, and is not any more."""
    answer = whole("Deleted job", "dashboard/job/gone.html", job_id=job_id)
    answer.status_code = HTTPStatus.NOT_FOUND
    return answer
