"""The page on which a job is begun: choose a kind, a file, and how it is read; look; check it, or start at once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from flask import Response, current_app, request, url_for

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import InvalidParameter, UnknownKind
from jobsvc.kinds.contract import Kind
from jobsvc.web import parameters
from jobsvc.web.access import caller, needs
from jobsvc.web.browsers import forms, outcomes
from jobsvc.web.creation import BESIDE_PARAMS, CALLBACK_URL, PRIORITY, asked_priority
from jobsvc.web.dashboard.blueprint import PAGE, REFUSED, bp, job_url, whole
from jobsvc.web.dashboard.new_job.fields import fields_of
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import given, takes
from jobsvc.web.uploads.beginning import MOST_BYTES

KIND = "kind"

GIVE = "give"
"""Parameters, with commas between, whose empty text says something, and which are to be given all the same: without
script, a field that is there is always sent."""

OWN = (KIND, GIVE, forms.SAID)
"""What the page itself takes. All else is what stands in the form at first."""

DRY_RUN = "dry_run"
"""Kinds that have this parameter can check a file without making anything of it."""

A_JOB = "JOB"
"""Stands for the id of the job to be."""

PRIORITIES = {
    Priority.LOW: "Low: after all others",
    Priority.NORMAL: "Normal",
    Priority.HIGH: "High: before all others",
}


@bp.get("/ui/new")
@needs(Right.LOOK)
@takes(*OWN, reads_query=True)
@answers(PAGE, UnknownKind, *REFUSED)
def new() -> Response:
    """The page on which a job is begun."""
    name = parameters.text(KIND)
    prefilled = {name: value for name, value in given().items() if name not in OWN}
    if name is None:
        for other in prefilled:
            raise InvalidParameter(other, f"{request.method} {request.path} has no such parameter: {_known()}")
    elif name not in services().kinds:
        raise UnknownKind(name, sorted(services().kinds))
    elif Right.START in caller().role.rights:
        caller().check_kind(name)
    kinds = _kinds()
    if name is None and len(kinds) == 1:
        name = kinds[0]["name"]
    form = None if name is None or not kinds else _form(services().kinds[name], prefilled)
    return whole("New job", "dashboard/new_job.html", kinds=kinds, chosen=name, form=form)


def _known() -> str:
    return f"known in its query are {', '.join(OWN)}, and with `{KIND}` the parameters of its jobs"


def _kinds() -> list[dict[str, Any]]:
    """Those that whoever looks may start."""
    who = caller()
    if Right.START not in who.role.rights:
        return []
    return [
        {"name": kind.name, "description": _description(kind), "takes_file": kind.takes_file}
        for kind in services().kinds.values()
        if who.kinds is None or kind.name in who.kinds
    ]


def _description(kind: Kind) -> str:
    """What an author says of a kind first."""
    return inspect.cleandoc(type(kind).__doc__ or "").partition("\n\n")[0]


def _form(kind: Kind, prefilled: Mapping[str, str]) -> dict[str, Any]:
    """What the page's form is made of. Raises InvalidParameter for what is given that the kind does not know."""
    described = kind.Params.model_json_schema(by_alias=True)
    properties = {name: stated for name, stated in described.get("properties", {}).items() if name not in BESIDE_PARAMS}
    for name in prefilled:
        if name not in properties and name not in BESIDE_PARAMS:
            known = ", ".join([*properties, *sorted(BESIDE_PARAMS)])
            raise InvalidParameter(name, f"{kind.name} has no such parameter; it has {known}; {_known()}")
    asked_priority(prefilled)
    reading = kind.Params.reading
    fields = fields_of({**described, "properties": properties}, prefilled, reading, kind.Params.may_be_empty)
    can_check = properties.get(DRY_RUN, {}).get("type") == "boolean"
    fields = [field for field in fields if not (field.name == DRY_RUN and can_check)]
    return {
        "kind": kind.name,
        "description": _description(kind),
        "takes_file": kind.takes_file,
        "items": kind.items,
        "action": url_for("kinds.create", name=kind.name),
        "fields": [field for field in fields if field.name not in reading],
        "reading": [field for field in fields if field.name in reading],
        "give": _give(kind),
        "can_check": can_check,
        "priorities": _priorities(),
        "priority": prefilled.get(PRIORITY) or Priority.NORMAL.word,
        "callback_url": prefilled.get(CALLBACK_URL, ""),
        "is_previewed": services().previews.is_possible(kind),
        "most_bytes": services().settings.max_upload_bytes,
        "slice_bytes": MOST_BYTES,
        "created_url": _created_url(),
        "A_JOB": A_JOB,
    }


def _give(kind: Kind) -> list[str]:
    names = [name for name in (parameters.text(GIVE) or "").split(",") if name]
    for name in names:
        if name not in kind.Params.may_be_empty:
            known = ", ".join(sorted(kind.Params.may_be_empty)) or "none"
            raise InvalidParameter(GIVE, f"{name[:40]!r} is not one of those that may be empty: {known}")
    return names


def _priorities() -> list[tuple[str, str]]:
    """Those that whoever looks may ask for: value and label."""
    return [(each.word, PRIORITIES[each]) for each in Priority.__members__.values() if each >= caller().role.highest]


def _created_url() -> str:
    """Where a browser goes once there is a job."""
    there = f"{bp.name}.job" in current_app.view_functions
    return job_url(A_JOB) + (f"?{forms.SAID}={outcomes.name(Act.SUBMIT, is_done=True)}" if there else "")
