"""Logging in with a browser: a page that takes a key, and gives the browser a session in its place."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, make_response, render_template, request, send_file, url_for
from werkzeug.exceptions import PreconditionFailed

from jobsvc.access.acts import Act
from jobsvc.access.caller import Caller
from jobsvc.access.errors import Unauthorized
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.web import auditing
from jobsvc.web.access import CHALLENGE, needs, public
from jobsvc.web.browsers import cookie
from jobsvc.web.browsers.going_on import local_path
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import given, takes

PAGES = Path(__file__).parents[1] / "pages" / "login"

HTML = Raw.of("text/html")

bp = Blueprint("login", __name__, template_folder=str(PAGES))


@bp.get("/login")
@public
@takes("next")
@answers(HTML)
def page() -> Response:
    """A page that takes a key; for whoever is logged in, one that says so."""
    return _page()


@bp.post("/login")
@needs(None, Act.LOG_IN)
@takes("next", only_in_body=("key",))
@answers({303: None, 401: HTML, 429: HTML})
def log_in() -> Response:
    """Log in with a key: the answer has a cookie that stands for it, and leads to `next`."""
    if not services().keys.are_needed():
        return _on_to(url_for("login.page"))
    address, attempts = request.remote_addr or "", services().attempts
    wait = attempts.wait(address)
    if wait:
        answer = _page(f"Too many wrong keys came from your address. Try again in {wait} seconds.", 429)
        answer.headers["Retry-After"] = str(wait)
        return answer
    key = given().get("key")
    if not isinstance(key, str) or not key.strip():
        raise InvalidParameter("key", "it must be a key")
    auditing.show(key.strip())
    try:
        made = services().sessions.begin(key.strip(), request.remote_addr or None)
    except Unauthorized as error:
        attempts.note_wrong(address)
        return _page(f"This key lets nobody in: {error}.", 401)
    earlier = cookie.sent()
    if earlier is not None:
        services().sessions.end(earlier, request.remote_addr or None)
    answer = _on_to(_next() or url_for("login.page"))
    cookie.give(answer, made.id)
    return answer


@bp.post("/logout")
@needs(None, Act.LOG_OUT)
@takes()
@answers({303: None})
def log_out() -> Response:
    """End the session of this browser; those of others with the same key go on."""
    session = cookie.sent()
    if session is not None:
        services().sessions.end(session, request.remote_addr or None)
    answer = _on_to(url_for("login.page"))
    cookie.take_back(answer)
    return answer


@bp.get("/login/page.css")
@public
@takes()
@answers({200: Raw.of("text/css"), 304: None}, PreconditionFailed)
def style() -> Response:
    """How that page looks."""
    answer = send_file(PAGES / "page.css", mimetype="text/css", conditional=False)
    answer.make_conditional(request)
    return answer


def _page(wrong: str = "", status: int = 200) -> Response:
    """`wrong`: why the last try has failed."""
    found = services()
    text = render_template(
        "login.html",
        caller=None if wrong else _logged_in(),
        keys_are_needed=found.keys.are_needed(),
        next=_next(),
        wrong=wrong,
    )
    answer = make_response(text, status)
    answer.cache_control.no_store = True
    if status == 401:
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def _logged_in() -> Caller | None:
    session = cookie.sent()
    if session is None:
        return None
    try:
        return services().sessions.caller(session)
    except Unauthorized:
        return None


def _next() -> str | None:
    return local_path(given().get("next"))


def _on_to(path: str) -> Response:
    answer = Response(status=303, headers={"Location": path})
    answer.cache_control.no_store = True
    return answer
