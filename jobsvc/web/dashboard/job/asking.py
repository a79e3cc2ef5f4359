"""What is asked before a job is terminated or rolled back: a page of its own, which script shows as a dialog."""

from __future__ import annotations

from typing import NamedTuple

from flask import Response, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import NotAcceptable

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.browsers import forms
from jobsvc.web.browsers.outcomes import OUTCOMES, Outcome
from jobsvc.web.dashboard.blueprint import COMMON, bp, check_html_is_taken, whole
from jobsvc.web.dashboard.job.standing import counted, items_of
from jobsvc.web.dashboard.presenting import title
from jobsvc.web.dashboard.steering import ROLL_BACK, TERMINATE, Button, buttons, can_roll_back
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes


class Choice(NamedTuple):
    """One of the answers: a form of its own."""

    label: str
    icon: str
    route: str
    """The end of its path."""
    rollback: bool
    outcome: Outcome
    is_grave: bool


class Question(NamedTuple):
    title: str
    texts: tuple[str, ...]
    choices: tuple[Choice, ...]


ASKED = {200: Raw.of("text/html"), 303: None}


@bp.get("/ui/jobs/<job_id>/terminate")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(ASKED, UnknownJob, NotAcceptable)
def job_terminate(job_id: str) -> Response:
    """The page that asks whether a job is to be terminated, and rolled back too."""
    return _asked(job_id, TERMINATE)


@bp.get("/ui/jobs/<job_id>/rollback")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(ASKED, UnknownJob, NotAcceptable)
def job_rollback(job_id: str) -> Response:
    """The page that asks whether a job is to be rolled back."""
    return _asked(job_id, ROLL_BACK)


def _asked(job_id: str, button: Button) -> Response:
    check_html_is_taken()
    job = authorized().get(job_id)
    there = url_for(f"{bp.name}.job", job_id=job.id)
    if forms.said() is not None:
        # The answer was given here, and what became of it is told where the job is.
        return _see_other(url_for(f"{bp.name}.job", job_id=job.id, said=request.args[forms.SAID]))
    is_allowed = button in buttons(job, caller(), services().kinds)
    question = (_terminate(job) if button is TERMINATE else _roll_back(job)) if is_allowed else None
    text = render_template("dashboard/job/question.html", job=job, question=question, button=button, there=there)
    if "live" in request.args:
        answer = Response(text, mimetype="text/html")
        answer.cache_control.no_store = True
        return answer
    return whole(f"{button.label} a job", "dashboard/job/asking.html", question=Markup(text))  # noqa: S704


def _see_other(path: str) -> Response:
    answer = Response(status=303, headers={"Location": path})
    answer.cache_control.no_store = True
    return answer


def _terminate(job: Job) -> Question:
    items = items_of(job, services().kinds)
    ask = f"Terminate {title(job)}?"
    keep = Choice("Terminate", TERMINATE.icon, TERMINATE.name, False, OUTCOMES[Act.TERMINATE], True)
    stops = "It stops for good, and can't be resumed. To go on later, pause it."
    if not can_roll_back(job, services().kinds):
        return Question(ask, (stops,), (keep,))
    if not job.done and job.started_at is None:
        return Question(ask, (stops, "It has made nothing yet."), (keep,))
    so_far = f"It has made {counted(job.done, items)} so far."
    label = f"Terminate and remove {counted(job.done, items)}"
    undo = Choice(label, ROLL_BACK.icon, TERMINATE.name, True, OUTCOMES[Act.ROLL_BACK], True)
    keep = keep._replace(label=f"Terminate and keep {'it' if job.done == 1 else 'them'}", is_grave=False)
    more = "That can stay, and be rolled back later, or be removed now, with whatever is made until it stops."
    return Question(ask, (stops, so_far, more), (keep, undo))


def _roll_back(job: Job) -> Question:
    items = items_of(job, services().kinds)
    text = f"{counted(job.done, items)} {'is' if job.done == 1 else 'are'} removed for good: all that it has made."
    choice = Choice(
        f"Remove {counted(job.done, items)}", ROLL_BACK.icon, ROLL_BACK.name, False, OUTCOMES[Act.ROLL_BACK], True
    )
    return Question(f"Roll back {title(job)}?", (text,), (choice,))
