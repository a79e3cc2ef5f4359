"""What all pages have in common: their blueprint, the layout around each, and what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app, g, render_template, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import NotAcceptable, PreconditionFailed

from jobsvc.access.roles import Right
from jobsvc.settings import EngineName
from jobsvc.version import VERSION
from jobsvc.web import conditional
from jobsvc.web.access import caller
from jobsvc.web.browsers import forms
from jobsvc.web.dashboard import presenting
from jobsvc.web.dashboard.assets import asset_url
from jobsvc.web.dashboard.fragments import FRESH, Fragment, Fragments
from jobsvc.web.dashboard.rows import Rows
from jobsvc.web.openapi.answers import Raw
from jobsvc.web.services import services

bp = Blueprint(forms.BLUEPRINT, __name__, template_folder=str(Path(__file__).parents[1] / "pages"))

PAGE = {200: Raw.of("text/html"), 304: None}
"""What a page answers, for `@answers`; beside it `REFUSED`."""

REFUSED = (NotAcceptable, PreconditionFailed)

COMMON = ("live", forms.SAID)
"""What every page takes, for `@takes`: `live` asks for its live part alone."""

NO_JSON = "this is a page; programs find the jobs at /jobs, and all else in /openapi.json"


class Place(NamedTuple):
    """An entry of the navigation: shown to those who have the right, as far as the page is there."""

    endpoint: str
    label: str
    icon: str
    right: Right
    of_fleets: bool = False
    """Whether it says something only where workers run the jobs."""


PLACES = (
    Place(f"{bp.name}.jobs", "Jobs", "list-checks", Right.LOOK),
    Place(f"{bp.name}.new", "New job", "plus", Right.START),
    Place(f"{bp.name}.workers", "Workers", "cpu", Right.OVERSEE, of_fleets=True),
    Place(f"{bp.name}.service", "Service", "server", Right.OVERSEE),
    Place("contract.docs", "API", "book-open", Right.LOOK),
)

_FRAGMENTS = "jobsvc.fragments"
"""Where an application keeps its live parts."""

_ROWS = "jobsvc.rows"
"""Where it keeps rows of the list."""

_LARGE = "jobsvc.large-parts"
"""Where it keeps parts that may be large, and change less often."""

MANY_LARGE = 32
"""So many of those are kept."""


@bp.record_once
def _prepare(state: Any) -> None:
    state.app.extensions[_FRAGMENTS] = Fragments()
    state.app.extensions[_ROWS] = Rows()
    state.app.extensions[_LARGE] = Fragments(many=MANY_LARGE)
    state.app.jinja_env.filters.update(presenting.FILTERS)
    state.app.jinja_env.globals.update(asset_url=asset_url, job_url=job_url)


def page_url(name: str) -> str | None:
    """The address of a page; None if there is none such."""
    endpoint = f"{bp.name}.{name}"
    return url_for(endpoint) if endpoint in current_app.view_functions else None


def job_url(job_id: str) -> str:
    """The address of a job's page."""
    there = f"{bp.name}.job" in current_app.view_functions
    return url_for(f"{bp.name}.job" if there else "jobs.one", job_id=job_id)


def here(**values: Any) -> str:
    """The address of the current page, with this query."""
    return url_for(str(request.endpoint), **(request.view_args or {}), **values)


def page(title: str, template: str, live: str, context: Callable[[], Mapping[str, Any]], **more: Any) -> Response:
    """A page, or only its live part where the request says `live`. Raises NotAcceptable.

    `template` is the page, with `more` and the `live` part in it; `live` is the template
    of that part, with the rights of the caller and what `context` finds. The part is made
    at most once a second for all who see the same: `context` may depend on where the service
    is for the browser, on the request's query, on the caller's role and scope, and on nothing else of them.
    """
    check_html_is_taken()
    query = sorted((name, value) for name, value in request.args.items() if name not in COMMON)
    who = caller()
    key = (request.root_url, request.path, tuple(query), who.role, who.scope.owner)
    # Whoever has just changed something sees it.
    fresh = FRESH in request.headers or forms.SAID in request.args
    made = current_app.extensions[_FRAGMENTS].get(
        key, lambda: render_template(live, rights=who.role.rights, **context()), fresh=fresh
    )
    if "live" in request.args:
        return conditional.tagged(Response(made.body, mimetype="text/html"), made.tag)
    return whole(title, template, live=Markup(made.text), tag=made.tag, live_url=here(**dict(query), live="1"), **more)  # noqa: S704


def large_part(key: Hashable, make: Callable[[], str]) -> str:
    """A part that is made at most once a second for all with the same key, which says whose sight it is."""
    made: Fragment = current_app.extensions[_LARGE].get(key, make)
    return made.text


def rows() -> Rows:
    """The rows of the list that the application keeps."""
    found = current_app.extensions[_ROWS]
    assert isinstance(found, Rows)
    return found


def whole(title: str, template: str, **more: Any) -> Response:
    """A page with nothing in it that changes by itself, or that is made already. Raises NotAcceptable."""
    check_html_is_taken()
    text = render_template(template, title=title, said=forms.said(), **layout(), **more)
    answer = Response(text, mimetype="text/html")
    answer.cache_control.no_store = True
    return answer


def layout() -> dict[str, Any]:
    """What the layout shows of whoever looks, and where they may go."""
    who = caller()
    return {
        "who": who,
        "rights": who.role.rights,
        "has_keys": services().keys.are_needed(),
        "is_logged_in": "session" in g,
        "places": [place for place in PLACES if place.right in who.role.rights and _is_there(place)],
        "version": VERSION,
    }


def _is_there(place: Place) -> bool:
    is_fleet = services().settings.engine is EngineName.FLEET
    return place.endpoint in current_app.view_functions and (is_fleet or not place.of_fleets)


def check_html_is_taken() -> None:
    """Raises NotAcceptable for a program that wants something else alone."""
    if request.accept_mimetypes.provided and not request.accept_mimetypes.accept_html:
        raise NotAcceptable(NO_JSON)
