"""Who sends the current request, and whether it may do that: the only place where routes are let through.

A key in the header is what its sender means to show. All else a browser sends by itself,
whatever page asks it to: the cookie of a session, or nothing where there are no keys.
With those, a request changes something only if a page of this service sends it; and a
cookie never authorises a GET that changes something, since every link is such a request.

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
from jobsvc.access.errors import Forbidden, NotBySession, OtherSite, Unauthorized
from jobsvc.access.roles import Right
from jobsvc.access.trail import Trail
from jobsvc.logs import about
from jobsvc.service.callers.authorized import Authorized
from jobsvc.service.limits.rate import Sort
from jobsvc.web.browsers import cookie, going_on, other_sites
from jobsvc.web.problems import Told, problem
from jobsvc.web.services import services

View = TypeVar("View", bound=Callable[..., Any])

NO_KEY = Told(401, "no-good-key", "A key is needed")
NOT_YOURS = Told(403, "not-permitted", "The key does not permit this")

OTHER_SITE = Told(403, "other-site", "Another site's page may change nothing here")
NOT_BY_SESSION = Told(403, "not-by-login", "A login does not permit this, a key does")

CHALLENGE = 'Bearer realm="jobsvc"'

SCHEME = "bearer"
"""RFC 6750."""

_STATED: dict[Callable[..., Any], Right | None] = {}
"""By view function; None: anybody may. Written while modules are imported, only read afterwards."""

_ACTS: dict[Callable[..., Any], Act] = {}
"""What the audit calls it, by view function. Written and read as those."""

AUDITED = frozenset({Right.START, Right.STEER, Right.MANAGE})
"""Whatever needs one of these leaves a line in the audit, whether it is permitted or not."""

_CHANGED_BY_GET: set[Callable[..., Any]] = set()
"""View functions whose GET changes something. Written and read as that."""

_UNCOUNTED: set[Callable[..., Any]] = set()
"""View functions whose calls do not count. Written and read as that."""

CHANGING = frozenset({Right.START, Right.STEER})
"""The rights to change something: a route that needs one and takes GET has to state `get_changes`."""


class UnguardedRoute(Exception):
    """A route does not state what it needs, or what the audit calls it."""


def needs(
    right: Right | None, act: Act | None = None, *, get_changes: bool = False, counted: bool = True
) -> Callable[[View], View]:
    """State the right that a caller of the route needs; with an `act`, each call leaves a line in the audit.

    Without a right, anybody may call it, and the line of one who gets in is the view's own affair.
    `get_changes`: its GET changes something, as no other does. `counted`: whether a call counts among the requests
    that each user may send in a second.
    """

    def state(view: View) -> View:
        _STATED[view] = right
        if act is not None:
            _ACTS[view] = act
        if get_changes:
            _CHANGED_BY_GET.add(view)
        if not counted:
            _UNCOUNTED.add(view)
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


def get_changes(view: Callable[..., Any]) -> bool:
    """Whether a route's view function has stated that its GET changes something."""
    return view in _CHANGED_BY_GET


def register(app: Flask) -> None:
    """Raises UnguardedRoute. Every route must be there already."""
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if stated(view) in AUDITED and act_of(view) is None:
            raise UnguardedRoute(
                f"{view.__module__}.{view.__qualname__} does not state what the audit calls it: @needs(Right.…, Act.…)"
            )
        if stated(view) in CHANGING and "GET" in (rule.methods or ()) and not get_changes(view):
            raise UnguardedRoute(f"GET {rule.rule} needs a right to change something, and does not state get_changes")
    app.before_request(let_in)
    app.register_error_handler(OtherSite, _other_site)
    app.register_error_handler(NotBySession, _not_by_session)
    app.register_error_handler(Unauthorized, _unauthorized)
    app.register_error_handler(Forbidden, _forbidden)


def let_in() -> None:
    """Find out who calls, and refuse who may not. Raises Unauthorized, Forbidden, OtherSite, NotBySession.

    Raises TooManyRequests for one who calls too often: before all that costs something is done.
    Where there is no such route, it needs a key to learn that.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    right = None if view is None else stated(view)
    changes = request.method not in other_sites.ONLY_READ or (view is not None and get_changes(view))
    if view is not None and right is None:
        if changes:
            _check_site(cookie.sent())
        return
    g.caller = _caller(changes)
    # Behind a proxy that is trusted, its middleware (`web/forwarded.py`) puts the client's own address there.
    trail.begin(Trail(g.caller, request.remote_addr or None))
    about.add(user=g.caller.user)
    if view not in _UNCOUNTED:
        services().rate.check(g.caller.user, Sort.STEER if right is Right.STEER else Sort.OTHER)
    if right is not None and request.method != "OPTIONS":
        g.caller.check(right)


def _caller(changes: bool) -> Caller:
    if "Authorization" in request.headers:
        return services().keys.caller(_shown())
    session = cookie.sent()
    if session is not None and services().keys.are_needed():
        if changes:
            if request.method in other_sites.ONLY_READ:
                _note_whose(session)
                raise NotBySession(
                    f"a {request.method} that changes something needs a key, so that no link can do it for you: send "
                    "it in the header Authorization: Bearer KEY, or use POST"
                )
            _check_site(session)
        g.session = session
        return services().sessions.caller(session)
    found = services().keys.caller(None)
    if changes:
        _check_site(None)
    return found


def _check_site(session: str | None) -> None:
    """Refuse other sites' pages. `session`: the id of the one that came with the request."""
    why_not = other_sites.why_not_ours(browser=session is not None)
    if why_not is not None:
        if session is not None:
            _note_whose(session)
        raise OtherSite(f"{why_not}; only pages of this service, or a key in the header, may change something")


def _note_whose(session: str) -> None:
    """Note, for the audit and the log, with whose session a request comes that is not let in: that is no use of it."""
    try:
        found = services().sessions.caller(session, use=False)
    except Unauthorized:
        return
    trail.begin(Trail(found, request.remote_addr or None, let_in=False))
    about.add(user=found.user)


def caller() -> Caller:
    """Who sends the current request: of a route that is not public."""
    found = g.caller
    assert isinstance(found, Caller)
    return found


def authorized() -> Authorized:
    """What the sender of the current request may ask of jobs."""
    found = services()
    return Authorized(caller(), found.jobs, found.actions, found.results, found.pruner, found.follower, found.overview)


def _shown() -> str:
    """The key that came with the request. Raises Unauthorized for credentials of another kind."""
    given = request.authorization
    if given is None or given.type != SCHEME or not given.token:
        raise Unauthorized("the header must be Authorization: Bearer KEY")
    return given.token


def _unauthorized(error: Unauthorized) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    shows_key = "Authorization" in request.headers
    if view is not None and going_on.is_page_view() and not shows_key and not get_changes(view):
        return going_on.to_login()
    answer = problem(*NO_KEY, str(error))
    answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def _other_site(error: OtherSite) -> Response:
    return problem(*OTHER_SITE, str(error))


def _not_by_session(error: NotBySession) -> Response:
    return problem(*NOT_BY_SESSION, str(error))


def _forbidden(error: Forbidden) -> Response:
    return problem(*NOT_YOURS, str(error))
