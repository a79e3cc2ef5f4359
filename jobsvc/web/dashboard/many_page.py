"""An action on many jobs: how many jobs it would concern, asked before it is begun, and then where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from flask import Response, url_for

from jobsvc.access.roles import Right
from jobsvc.jobs.bulk_action import Demand, Filter, Verb
from jobsvc.jobs.errors import UnknownAction
from jobsvc.jobs.states import State
from jobsvc.web import parameters
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.dashboard.blueprint import COMMON, PAGE, REFUSED, bp, page, whole
from jobsvc.web.openapi.answers import answers
from jobsvc.web.routes.actions import demand
from jobsvc.web.takes import given, takes

FILTERS = ("state", "kind", "user", "text")

SOON_SECONDS = 1
"""How often the page asks while the action is under way."""


class Choice(NamedTuple):
    """Something that can be asked of many jobs."""

    verb: Verb
    rollback: bool
    label: str
    done: str
    """How it is told once it was asked of a job."""
    icon: str
    what: str
    is_grave: bool = False

    @property
    def fields(self) -> dict[str, str]:
        return {"action": self.verb, **({"rollback": "true"} if self.rollback else {})}


CHOICES = (
    Choice(Verb.PAUSE, False, "Pause", "paused", "pause", "They stop after the item under way, and can go on."),
    Choice(Verb.RESUME, False, "Resume", "resumed", "play", "They go on where they stopped."),
    Choice(
        Verb.TERMINATE,
        False,
        "Terminate",
        "terminated",
        "square",
        "They stop for good. What they have made so far stays.",
        is_grave=True,
    ),
    Choice(
        Verb.TERMINATE,
        True,
        "Terminate and roll back",
        "terminated and rolled back",
        "undo-2",
        "They stop for good, and what they have made is removed.",
        is_grave=True,
    ),
    Choice(
        Verb.ROLL_BACK,
        False,
        "Roll back",
        "rolled back",
        "undo-2",
        "What finished jobs have made is removed for good.",
        is_grave=True,
    ),
)


def _choice(of: Demand) -> Choice:
    return next(choice for choice in CHOICES if (choice.verb, choice.rollback) == (of.verb, of.rollback))


@bp.get("/ui/many")
@needs(Right.LOOK)
@takes("action", "rollback", *FILTERS, *COMMON)
@answers(PAGE, *REFUSED)
def many() -> Response:
    """The page that asks whether the same is to be asked of all jobs that a filter finds, and of how many."""
    may = Right.STEER in caller().role.rights
    wanted = {name: text for name in FILTERS if (text := parameters.text(name))}
    if given().get("action") is None:
        found = parameters.listed()
        pause = Demand(Verb.PAUSE, Filter(tuple(map(State, found.states)), found.kind, found.user, found.text))
        choices = [(choice, _preview(choice, pause)) for choice in CHOICES]
        return whole(
            "Many jobs", "dashboard/many.html", wanted=wanted, choices=choices, may=may, found=choices[0][1].found
        )
    asked = demand()
    choice = _choice(asked)
    preview = authorized().preview(asked)
    return whole(
        f"{choice.label} many jobs",
        "dashboard/many_confirm.html",
        wanted=wanted,
        choice=choice,
        preview=preview,
        may=may,
    )


def _preview(choice: Choice, like: Demand) -> Any:
    return authorized().preview(replace(like, verb=choice.verb, rollback=choice.rollback))


@bp.get("/ui/many/<action_id>")
@needs(Right.LOOK)
@takes(*COMMON)
@answers(PAGE, UnknownAction, *REFUSED)
def action(action_id: str) -> Response:
    """The page of an action on many jobs: how far it has come."""
    found = authorized().action(action_id, 0.0)
    return page(
        f"{_choice(found.demand).label} many jobs",
        "dashboard/action.html",
        "dashboard/action_live.html",
        lambda: _standing(action_id),
    )


def _standing(action_id: str) -> Mapping[str, Any]:
    found = authorized().action(action_id, 0.0)
    named = found.demand.filter
    wanted: dict[str, Any] = {"state": named.state, "kind": named.kind, "user": named.user, "text": named.text}
    return {
        "action": found,
        "choice": _choice(found.demand),
        "list_url": url_for("dashboard.jobs", **{name: text for name, text in wanted.items() if text}),
        "every": 3600 if found.is_over else SOON_SECONDS,
    }
