"""The list of jobs: what is there, how it goes, and the buttons to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Response

from jobsvc.access.roles import Right
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, STOPPING, UNDER_WAY, State
from jobsvc.web import parameters
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, here, page
from jobsvc.web.dashboard.presenting import LOOKS
from jobsvc.web.dashboard.steering import buttons
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

ON_A_PAGE = 50

BUSY_SECONDS = 2
"""How often a page asks while a job is under way."""

QUIET_SECONDS = 10
"""How often otherwise."""

FILTERS = ("state", "kind", "user", "text")

STATES = [
    (",".join(state for state in State if state not in FINISHED), "not finished"),
    *((state, LOOKS[state].word) for state in State),
]
"""What can be chosen: the value of `state`, and what it is called."""

MOVING = UNDER_WAY | STOPPING | {State.QUEUED}
"""States of jobs that will soon look different."""


@bp.get("/")
@needs(Right.LOOK)
@takes("state", "kind", "user", "text", "after", *COMMON)
@answers(PAGE, *REFUSED)
def jobs() -> Response:
    """The page with the list of jobs."""
    return page(
        "Jobs",
        "dashboard/list.html",
        "dashboard/list_live.html",
        _found,
        states=STATES,
        kinds=sorted(services().kinds),
        wanted=_wanted(),
        may_steer=Right.STEER in caller().role.rights,
        sees_all=caller().scope.owner is None,
    )


def _found() -> Mapping[str, Any]:
    """The jobs of this page of the list."""
    after = parameters.after(1)
    found = authorized().page(parameters.listed(), limit=ON_A_PAGE, after=after[0] if after else None)
    wanted = _wanted()
    moving = any(job.state in MOVING for job in found.jobs)
    return {
        "jobs": [_row(job) for job in found.jobs],
        "is_filtered": bool(wanted),
        "first_url": here(**wanted) if after else None,
        "next_url": here(**wanted, after=found.next) if found.next else None,
        "every": BUSY_SECONDS if moving else QUIET_SECONDS,
        "sees_all": caller().scope.owner is None,
    }


def _wanted() -> dict[str, Any]:
    """The filter that stands in the address, by the names of its parameters."""
    return {name: text for name in FILTERS if (text := parameters.text(name))}


def _row(job: Job) -> Mapping[str, Any]:
    return {
        "job": job,
        "buttons": buttons(job, caller(), services().kinds),
        "percent": job.rollback_percent if job.rollback is not None else job.percent,
        "is_finished": job.state in FINISHED,
    }
