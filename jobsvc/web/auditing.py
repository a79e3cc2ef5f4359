"""The line of the audit for a request that has none yet: it was refused, or it has changed nothing.

A change has its line in its own transaction (`service/auditing/noting.py`). All other
lines are written by a thread: no answer waits for them, or fails because of them.
"""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, g, request

from jobsvc.access import key_text, trail
from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line
from jobsvc.access.key_ring import MIN_CHARACTERS
from jobsvc.access.roles import Right
from jobsvc.access.trail import Trail
from jobsvc.jobs.errors import TooManyRequests
from jobsvc.logs.about import request_id
from jobsvc.web import access
from jobsvc.web.problems import OF_USERS, told
from jobsvc.web.services import services

NOT_LET_IN = frozenset({401, 403, 429})
"""Statuses of answers to requests that are not let in."""

REFUSED_LOOKS = {Right.LOOK: Act.LOOK, Right.OVERSEE: Act.OVERSEE}
"""What it is called when a route that leaves no line is refused to somebody."""

LIMITS = frozenset(told(error).kind for error in OF_USERS)
"""The problems of users who have as much as they may: the service could, and would not, whatever the status."""

TOO_FAST = told(TooManyRequests).kind
"""The problem of requests that leave no line, or whoever sends them would fill the disk."""

LIMITED = frozenset({429, 507})
"""Statuses of those problems."""

TARGETS = ("job_id", "action_id", "key_id")
"""The names, in paths, of what a route is about."""


def call(act: Act, target: str | None = None) -> None:
    """The request turns out to be that, and not what its route states. `target`: the id of what it is about."""
    g.audited_as = act, target


def show(key: str) -> None:
    """The request has shown that key in another place than the header."""
    g.shown_key = key


def register(app: Flask) -> None:
    app.after_request(_record)
    app.teardown_request(_end)


def _end(_: BaseException | None) -> None:
    trail.end()


def _record(answer: Response) -> Response:
    found = trail.current()
    if found is None or not found.let_in:
        if answer.status_code in NOT_LET_IN:
            services().recorder.record_stranger(_line_of_stranger(found, answer))
        return answer
    line = _line_of(found, answer)
    if line is not None:
        services().recorder.record(line)
    return answer


def _line_of_stranger(found: Trail | None, answer: Response) -> Line:
    """That of a request that was not let in. Who sends it is known if it came with a session."""
    view = current_app.view_functions.get(request.endpoint or "")
    act, target = (None, None) if view is None else _called(access.act_of(view))
    if found is not None:
        return _line(act or Act.ENTER, Outcome.REFUSED, answer, target, **_who(found))
    # Others have tried to get in, whatever they asked for, unless anybody may ask for it.
    if act is None or view is None or access.stated(view) is not None:
        act, target = Act.ENTER, None
    return _line(act, Outcome.REFUSED, answer, target, key_id=_shown_id())


def _who(found: Trail) -> dict[str, Any]:
    return {"user": found.caller.user, "role": found.caller.role, "key_id": found.caller.key_id}


def _line_of(found: Trail, answer: Response) -> Line | None:
    """The line that a request still needs, if it needs one."""
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None or request.method == "OPTIONS" or _name(answer) == TOO_FAST:
        return None
    act, target = _called(access.act_of(view))
    who = _who(found)
    if answer.status_code < 400:
        # What was changed has its line already.
        return None if act is None or found.noted else _line(act, Outcome.DONE, answer, target, **who)
    if act is None:
        if found.foreign is None and answer.status_code != 403:
            return None
        act = REFUSED_LOOKS.get(access.stated(view) or Right.LOOK, Act.LOOK)
    refused = answer.status_code < 500 or _name(answer) in LIMITS
    outcome = Outcome.REFUSED if refused else Outcome.FAILED
    return _line(act, outcome, answer, target or found.foreign, **who)


def _called(stated: Act | None) -> tuple[Act | None, str | None]:
    """What the request is called, and what it is about."""
    act, target = g.get("audited_as", (stated, None))
    args = request.view_args or {}
    in_path = next((args[name] for name in TARGETS if name in args), None)
    # Whoever may not steer at all is refused before the original's route has looked which job is meant.
    return act, target or in_path or (request.args.get("id") if act is Act.STEER else None)


def _line(act: Act, outcome: Outcome, answer: Response, target: str | None = None, **who: Any) -> Line:
    return Line(
        services().recorder.now(),
        act,
        outcome,
        _without_key(target),
        address=request.remote_addr or None,
        request_id=_without_key(request_id()),
        status=answer.status_code,
        problem=_problem(answer) if answer.status_code >= 400 else None,
        **who,
    )


def _problem(answer: Response) -> str | None:
    """The name of the problem that the answer tells of; None if its status says it all."""
    body = answer.get_json(silent=True) if answer.is_json else None
    if not isinstance(body, dict):
        return None
    kind = str(body.get("type") or body.get("errorType") or "")
    return None if kind in ("", "about:blank") else kind.removeprefix("urn:jobsvc:")


def _shown() -> str | None:
    """The key that came with the request, or what stands in its place."""
    given = request.authorization
    found = g.get("shown_key") or (given.token if given is not None else None)
    return found if isinstance(found, str) else None


def _name(answer: Response) -> str | None:
    """The same as problem documents have it, also on the original's routes."""
    found = _problem(answer) if answer.status_code in LIMITED else None
    return found.replace("_", "-") if found else None


def _shown_id() -> str | None:
    """The id of the key that was shown, if that has the shape of one."""
    shown = _shown()
    return key_text.id_of(shown) if shown else None


def _without_key(text: str | None) -> str | None:
    """What a client has written, without the key that it has shown. Others are known by their shape."""
    shown = _shown()
    return text.replace(shown, "…") if text and shown and len(shown) >= MIN_CHARACTERS else text
