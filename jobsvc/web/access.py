"""Who sends the current request, and whether it may do that: the only place where routes are let through.

Each route states what it needs, with `@needs(…)` or `@public`. An application with a
route that states nothing is not built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, g, request

from jobsvc.access import trail
from jobsvc.access.acts import Act
from jobsvc.access.caller import Caller
from jobsvc.access.errors import Forbidden, Unauthorized
from jobsvc.access.roles import Right
from jobsvc.access.trail import Trail
from jobsvc.logs import about
from jobsvc.service.callers.authorized import Authorized
from jobsvc.web.problems import Told, problem
from jobsvc.web.services import services

View = TypeVar("View", bound=Callable[..., Any])

NO_KEY = Told(401, "no-good-key", "A key is needed")
NOT_YOURS = Told(403, "not-permitted", "The key does not permit this")

SCHEME = "bearer"
"""RFC 6750."""

_STATED: dict[Callable[..., Any], Right | None] = {}
"""By view function; None: anybody may. Written while modules are imported, only read afterwards."""

_ACTS: dict[Callable[..., Any], Act] = {}
"""What the audit calls it, by view function. Written and read as those."""

AUDITED = frozenset({Right.START, Right.STEER, Right.MANAGE})
"""Whatever needs one of these leaves a line in the audit, whether it is permitted or not."""


class UnguardedRoute(Exception):
    """A route does not state what it needs, or what the audit calls it."""


def needs(right: Right, act: Act | None = None) -> Callable[[View], View]:
    """State the right that a caller of the route needs; with an `act`, each call leaves a line in the audit."""

    def state(view: View) -> View:
        _STATED[view] = right
        if act is not None:
            _ACTS[view] = act
        return view

    return state


def public(view: View) -> View:
    """State that anybody may call the route, also without a key."""
    _STATED[view] = None
    return view


def stated(view: Callable[..., Any]) -> Right | None:
    """What a route's view function needs; None if nothing. Raises UnguardedRoute."""
    try:
        return _STATED[view]
    except KeyError:
        raise UnguardedRoute(f"{view.__module__}.{view.__qualname__} does not state what it needs") from None


def act_of(view: Callable[..., Any]) -> Act | None:
    """What the audit calls a call of the route; None if it leaves no line unless it is refused."""
    return _ACTS.get(view)


def register(app: Flask) -> None:
    """Raises UnguardedRoute. Every route must be there already."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if stated(view) in AUDITED and act_of(view) is None:
            raise UnguardedRoute(
                f"{view.__module__}.{view.__qualname__} does not state what the audit calls it: @needs(Right.…, Act.…)"
            )
    app.before_request(let_in)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)


def let_in() -> None:
    """Find out who calls, and refuse who may not. Raises Unauthorized, Forbidden.

    Where there is no such route, it needs a key to learn that.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    right = None if view is None else stated(view)
    if view is not None and right is None:
        return
    g.caller = services().keys.caller(_shown())
    # Behind a proxy that is trusted, its middleware puts the client's own address there.
    trail.begin(Trail(g.caller, request.remote_addr or None))
    about.add(user=g.caller.user)
    if right is not None and request.method != "OPTIONS":
        g.caller.check(right)


def caller() -> Caller:
    """Who sends the current request: of a route that is not public."""
    found = g.caller
    assert isinstance(found, Caller)
    return found


def authorized() -> Authorized:
    """What the sender of the current request may ask of jobs."""
    found = services()
    return Authorized(caller(), found.jobs, found.actions, found.results, found.pruner, found.follower)


def _shown() -> str | None:
    """The key that came with the request. Raises Unauthorized for credentials of another kind."""
    if "Authorization" not in request.headers:
        return None
    given = request.authorization
    if given is None or given.type != SCHEME or not given.token:
        raise Unauthorized("the header must be Authorization: Bearer KEY")
    return given.token


def _unauthorized(error: Unauthorized) -> Response:
    answer = problem(*NO_KEY, str(error))
    answer.headers["WWW-Authenticate"] = 'Bearer realm="jobsvc"'
    return answer


def _forbidden(error: Forbidden) -> Response:
    return problem(*NOT_YOURS, str(error))
