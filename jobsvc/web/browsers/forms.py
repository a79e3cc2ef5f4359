"""Answers to a browser without script: what a program gets as JSON, its user is told on a page.

A form of one of our pages posts to the same routes as everybody. A browser that does so
by itself says that it prefers HTML, and where the form is. Some programs say the one (Java's
HttpURLConnection, unless told otherwise), but not the other. The browser is led back to where the form
was (303), and told there what has become of it; a refusal is a page that says why. So is
one of a page itself.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from flask import Flask, Response, current_app, g, render_template, request, url_for

from jobsvc.access.acts import Act
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.web import access
from jobsvc.web.browsers import other_sites, outcomes
from jobsvc.web.browsers.going_on import is_page_view, local_path, prefers_html
from jobsvc.web.problems import MIMETYPE as PROBLEM

BLUEPRINT = "dashboard"
"""Whose routes are pages."""

SAID = "said"
"""The parameter of pages that names the outcome."""


def register(app: Flask) -> None:
    """Before the audit, which reads the answer that a program would get: what is registered first has its turn last."""
    app.after_request(tell_in_html)


def said() -> str | None:
    """What a page is to tell of the form that led to it. Raises InvalidParameter for what no form leads to."""
    name = request.args.get(SAID)
    if name is None:
        return None
    text = outcomes.text(name)
    if text is None:
        raise InvalidParameter(SAID, "it is given by this service alone, after a form was sent")
    return text


def is_answered_in_html() -> bool:
    """Whether the current request is that of a form of ours."""
    is_form = request.method == "POST" and request.blueprint != "original"
    return is_form and other_sites.says_where_from() and prefers_html()


def tell_in_html(answer: Response) -> Response:
    is_page = is_page_view() and _is_ours(request.root_path + request.path)
    if answer.mimetype == PROBLEM and (is_answered_in_html() or is_page):
        return _page_of_problem(answer)
    if answer.mimetype == "application/json" and answer.status_code < 300 and is_answered_in_html():
        return _back(answer)
    return answer


def _back(answer: Response) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    act, _ = g.get("audited_as", (access.act_of(view) if view else None, None))
    if act not in outcomes.OUTCOMES:
        # Its answer is what is asked for, and is shown as it is.
        return answer
    body: Any = answer.get_json(silent=True)
    path = _came_from()
    if act is Act.ASK_MANY:
        return _see_other(url_for(f"{BLUEPRINT}.action", action_id=body["id"]))
    if answer.status_code == 201 and f"{BLUEPRINT}.job" in current_app.view_functions:
        path = url_for(f"{BLUEPRINT}.job", job_id=body["id"])
    parts = urlsplit(path)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != SAID]
    query.append((SAID, outcomes.name(act, is_done=answer.status_code != 202)))
    return _see_other(f"{parts.path}?{urlencode(query)}")


def _see_other(path: str) -> Response:
    answer = Response(status=303, headers={"Location": path})
    answer.cache_control.no_store = True
    answer.vary.add("Accept")
    return answer


def _page_of_problem(answer: Response) -> Response:
    told = answer.get_json(silent=True)
    page = Response(
        render_template("dashboard/problem.html", told=told, back=_came_from()),
        answer.status_code,
        mimetype="text/html",
    )
    for name in ("Retry-After", "WWW-Authenticate", "Allow"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    page.cache_control.no_store = True
    page.vary.add("Accept")
    return page


def _came_from() -> str:
    """The path of the page on which the form was, or of the list: never an address elsewhere."""
    home = url_for(f"{BLUEPRINT}.jobs")
    try:
        parts = urlsplit(request.referrer or "")
    except ValueError:
        return home
    if parts.netloc != request.host or not _is_ours(parts.path):
        return home
    return local_path(quote(parts.path, safe="/%") + (f"?{parts.query}" if parts.query else "")) or home


def _is_ours(path: str) -> bool:
    """Whether one of our pages is there."""
    root = request.root_path
    return path == f"{root}/" or path.startswith(f"{root}/ui/")
