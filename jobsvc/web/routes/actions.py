"""Actions on many jobs at once: pause, resume, terminate or roll back every job that a filter finds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import Blueprint, Response
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.bulk_action import BulkAction, Demand, Filter, Verb
from jobsvc.jobs.errors import InvalidParameter, KeyReused, UnknownAction
from jobsvc.jobs.representation import action_json, preview_json
from jobsvc.service.new_job import Idempotency
from jobsvc.web import auditing, parameters
from jobsvc.web.access import authorized, needs
from jobsvc.web.conditional import conditional
from jobsvc.web.creation import idempotency_key, scope_of_request
from jobsvc.web.openapi.answers import answers
from jobsvc.web.takes import given, takes

bp = Blueprint("actions", __name__, url_prefix="/jobs/actions")


@bp.post("")
@needs(Right.STEER, Act.ASK_MANY)
@takes("action", "state", "kind", "user", "text", "paused_by", "rollback", "dry_run", "wait", in_body=True)
@answers({200: "ActionOrPreview", 202: "Action"}, KeyReused, repeatable=True)
def ask() -> tuple[dict[str, Any], int]:
    """Ask the same of every job that a filter finds; 202: there are jobs left, or they have yet to obey."""
    dry_run = parameters.flag("dry_run", given().get("dry_run"))
    if dry_run:
        auditing.call(Act.PREVIEW_MANY)
    wanted = demand()
    wait = parameters.wait()
    if dry_run:
        return preview_json(wanted, authorized().preview(wanted)), 200
    return _answer(authorized().ask(wanted, _idempotency(wanted), wait))


@bp.get("")
@needs(Right.LOOK)
@takes("limit", "after")
@answers({200: "Actions", 304: None}, PreconditionFailed)
def listing() -> Response:
    """The actions on many jobs, the newest first, in pages."""
    after = parameters.after(1)
    page = authorized().actions(limit=parameters.limit(), after=after[0] if after else None)
    following = None if page.next is None else str(page.next)
    return conditional({"actions": [action_json(action) for action in page.actions], "next": following})


@bp.get("/<action_id>")
@needs(Right.LOOK)
@takes("wait")
@answers({200: "Action", 304: None}, UnknownAction, PreconditionFailed)
def one(action_id: str) -> Response:
    """Where an action on many jobs stands. Waits, if it is to, until it is over."""
    wait = 0.0 if given().get("wait") is None else parameters.wait()
    return conditional(action_json(authorized().action(action_id, wait)))


def _answer(action: BulkAction) -> tuple[dict[str, Any], int]:
    """202 while there are jobs to be asked, or on their way."""
    return action_json(action), 200 if action.is_over else 202


def demand() -> Demand:
    """What the current request asks of many jobs. Raises InvalidParameter."""
    verb = _verb()
    rollback = parameters.flag("rollback", given().get("rollback"))
    if rollback and verb is not Verb.TERMINATE:
        raise InvalidParameter(
            "rollback", f"it belongs to action={Verb.TERMINATE}; there is action={Verb.ROLL_BACK} too"
        )
    paused_by = _text("paused_by")
    if paused_by is not None and verb is not Verb.RESUME:
        raise InvalidParameter("paused_by", f"it belongs to action={Verb.RESUME}")
    state, text = _text("state"), _text("text")
    named = Filter(
        states=() if state is None else parameters.states(state),
        kind=_text("kind"),
        user=_text("user"),
        text=None if text is None else parameters.search(text),
        paused_by=paused_by,
    )
    return Demand(verb, named, rollback)


def _verb() -> Verb:
    text = _text("action")
    if text is None:
        raise InvalidParameter("action", f"it is missing; it must be one of {', '.join(Verb)}")
    try:
        return Verb(text)
    except ValueError:
        raise InvalidParameter("action", f"{text!r} must be one of {', '.join(Verb)}") from None


def _text(name: str) -> str | None:
    """A parameter that must be text. Empty text is refused: without it, an action finds every job."""
    value = given().get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidParameter(name, f"{value!r} must be a text of printable characters; leave it out for all jobs")
    return value


def _idempotency(demand: Demand) -> Idempotency | None:
    """The request's key, and a digest of what is asked."""
    key = idempotency_key()
    if key is None:
        return None
    named = demand.filter
    content = [demand.verb, demand.rollback, named.state, named.kind, named.user, named.paused_by, *scope_of_request()]
    if named.text is not None:
        content.append(f"text={named.text}")
    return Idempotency(key, hashlib.sha256(json.dumps(content).encode()).hexdigest())
