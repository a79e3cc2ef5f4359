"""Pages that ask before something can't be taken back; script shows them as a dialog."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import Response, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import NotAcceptable

from jobsvc.access.roles import Right
from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.browsers import forms
from jobsvc.web.dashboard.blueprint import COMMON, bp, check_html_is_taken, whole
from jobsvc.web.dashboard.job import questions
from jobsvc.web.dashboard.job.questions import Question
from jobsvc.web.dashboard.steering import ROLL_BACK, TERMINATE, Button, buttons, can_apply
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

ASKED = {200: Raw.of("text/html"), 303: None}


class Asking(NamedTuple):
    what: str
    is_allowed: Callable[[Job], bool]
    question: Callable[[Job], Question]


def _has(button: Button) -> Callable[[Job], bool]:
    return lambda job: button in buttons(job, caller(), services().kinds)


TERMINATING = Asking(TERMINATE.label, _has(TERMINATE), questions.terminate)
ROLLING_BACK = Asking(ROLL_BACK.label, _has(ROLL_BACK), questions.roll_back)
APPLYING = Asking("Import", lambda job: can_apply(job, caller(), services().kinds), questions.apply)


@bp.get("/ui/jobs/<job_id>/terminate")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(ASKED, UnknownJob, NotAcceptable)
def job_terminate(job_id: str) -> Response:
    """The page that asks whether a job is to be terminated, and rolled back too."""
    return _asked(job_id, TERMINATING)


@bp.get("/ui/jobs/<job_id>/rollback")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(ASKED, UnknownJob, NotAcceptable)
def job_rollback(job_id: str) -> Response:
    """The page that asks whether a job is to be rolled back."""
    return _asked(job_id, ROLLING_BACK)


@bp.get("/ui/jobs/<job_id>/apply")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(ASKED, UnknownJob, NotAcceptable)
def job_apply(job_id: str) -> Response:
    """The page that asks whether a dry run is to be applied, once more perhaps."""
    return _asked(job_id, APPLYING)


def _asked(job_id: str, asking: Asking) -> Response:
    check_html_is_taken()
    job = authorized().get(job_id)
    if forms.said() is not None:
        # The answer was given here, and what became of it is told where the job is.
        there = url_for(f"{bp.name}.job", job_id=job.id, said=request.args[forms.SAID])
        answer = Response(status=303, headers={"Location": there})
        answer.cache_control.no_store = True
        return answer
    text = render_template(
        "dashboard/job/question.html",
        job=job,
        what=asking.what,
        question=asking.question(job) if asking.is_allowed(job) else None,
        there=url_for(f"{bp.name}.job", job_id=job.id),
    )
    if "live" in request.args:
        answer = Response(text, mimetype="text/html")
        answer.cache_control.no_store = True
        return answer
    return whole(f"{asking.what} a job", "dashboard/job/asking.html", question=Markup(text))  # noqa: S704
