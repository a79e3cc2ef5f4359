"""The list of jobs: what is there, how it goes, and the buttons to stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any, NamedTuple

from flask import Response, render_template, request
from markupsafe import Markup

from jobsvc.access.roles import Right
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, STOPPING, UNDER_WAY, State
from jobsvc.service.monitoring.overview import Count
from jobsvc.web import parameters
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, here, page, page_url, rows
from jobsvc.web.dashboard.presenting import LOOKS, Look
from jobsvc.web.dashboard.rows import state_of
from jobsvc.web.dashboard.steering import PAUSE, RESUME, ROLL_BACK, TERMINATE, buttons, is_check
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

ON_A_PAGE = 50

BUSY_SECONDS = 2
"""How often a page asks while a job is under way."""

QUIET_SECONDS = 10
"""How often otherwise."""

FILTERS = ("state", "kind", "user", "text")

NOT_FINISHED = ",".join(state for state in State if state not in FINISHED)

LATEST = 3
"""So many of the latest five seconds make the rate of now."""

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
        kinds=sorted(services().kinds),
        wanted=_wanted(),
        may_steer=_may_steer(),
        many_buttons=(PAUSE, RESUME, TERMINATE, ROLL_BACK),
        sees_all=caller().scope.owner is None,
    )


def _found() -> Mapping[str, Any]:
    """The jobs of this page of the list."""
    after = parameters.after(1)
    found = authorized().page(parameters.listed(), limit=ON_A_PAGE, after=after[0] if after else None)
    wanted = _wanted()
    at_work = services().overview.at_work()
    sparks = services().samples.sparklines([job.key for job in found.jobs if job.state in UNDER_WAY])
    moving = any(job.state in MOVING for job in found.jobs)
    return {
        "jobs": [_row(job, sparks.get(job.key, ())) for job in found.jobs],
        "new_url": page_url("new") if Right.START in caller().role.rights else None,
        "wanted": wanted,
        "may_steer": _may_steer(),
        "at_work": at_work,
        "latest_rate": mean(rates[-LATEST:]) if (rates := [found.rate for found in at_work.throughput]) else 0.0,
        "rates": rates,
        "states": _states(wanted),
        "is_filtered": bool(wanted),
        "first_url": here(**wanted) if after else None,
        "next_url": here(**wanted, after=found.next) if found.next else None,
        "every": BUSY_SECONDS if moving else QUIET_SECONDS,
        "sees_all": caller().scope.owner is None,
    }


def _may_steer() -> bool:
    return Right.STEER in caller().role.rights


def _wanted() -> dict[str, Any]:
    """The filter that stands in the address, by the names of its parameters."""
    return {name: text for name in FILTERS if (text := parameters.text(name))}


class Tab(NamedTuple):
    """A state that can be chosen."""

    word: str
    url: str
    many: Count | None
    """How many jobs are in it; None where other filters are set, which it does not know of."""
    look: Look | None
    is_chosen: bool


def _states(wanted: Mapping[str, str]) -> list[Tab]:
    """The states that jobs are in, beside the chosen one, as links that leave the other filters as they are."""
    others = {name: text for name, text in wanted.items() if name != "state"}
    counts = authorized().counts()
    chosen = wanted.get("state")
    every = Tab("all", here(**others), None, None, chosen is None)
    tabs = [every, _tab("not finished", NOT_FINISHED, others, chosen)]
    for state in State:
        if counts[state].count or state == chosen:
            tabs.append(_tab(LOOKS[state].word, state, others, chosen, None if others else counts[state], LOOKS[state]))
    return tabs


def _tab(
    word: str,
    state: str,
    others: Mapping[str, str],
    chosen: str | None,
    count: Count | None = None,
    look: Look | None = None,
) -> Tab:
    return Tab(word, here(**{**others, "state": state}), count, look, state == chosen)


def _row(job: Job, rates: Sequence[float]) -> Markup:
    """The row of a job, as it is for the caller's role and scope."""
    who = caller()
    key = (request.root_path, who.role, who.scope.owner, state_of(job), tuple(rates))
    return rows().get(key, lambda: _rendered(job, rates))


def _rendered(job: Job, rates: Sequence[float]) -> str:
    return render_template(
        "dashboard/parts/list_row.html",
        job=job,
        rates=rates,
        buttons=buttons(job, caller(), services().kinds),
        percent=job.rollback_percent if job.rollback is not None else job.percent,
        checks=is_check(job, services().kinds),
        is_moving=job.state in UNDER_WAY,
        may_steer=_may_steer(),
        sees_all=caller().scope.owner is None,
    )
