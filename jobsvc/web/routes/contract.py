"""The contract of this service, and a page that shows it and lets people try it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, request, send_file
from werkzeug.exceptions import NotFound, PreconditionFailed

from jobsvc.access.roles import Right
from jobsvc.web.access import needs, public
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

PAGES = Path(__file__).parents[1] / "pages" / "docs"

FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "LICENSE": "text/plain",
}
"""What is served beside the page, by name."""

_MADE = "jobsvc.contract"
"""Where an application keeps its contract once it was asked for. No lock: two that make it at once make the same."""

bp = Blueprint("contract", __name__)


@bp.get("/openapi.json")
@needs(Right.LOOK)
@takes()
@answers("Contract")
def openapi() -> Response:
    """This document: the contract in OpenAPI 3.1, with the parameters of all kinds."""
    made: dict[str, Any] = current_app.extensions
    if _MADE not in made:
        # Most processes are never asked for it.
        from jobsvc.web.openapi.document import document  # noqa: PLC0415

        made[_MADE] = orjson.dumps(document(current_app, services().kinds)) + b"\n"
    return Response(made[_MADE], mimetype="application/json")


@bp.get("/docs")
@public
@takes()
@answers({200: Raw.of("text/html"), 304: None}, PreconditionFailed)
def docs() -> Response:
    """A page that shows this document."""
    return _sent("page.html", "text/html")


@bp.get("/docs/<file>")
@public
@takes()
@answers({200: Raw.of(*dict.fromkeys(FILES.values())), 304: None}, NotFound, PreconditionFailed)
def docs_file(file: str) -> Response:
    """A file of that page."""
    if file not in FILES:
        raise NotFound(f"there is no such file; there are {', '.join(FILES)}")
    return _sent(file, FILES[file])


def _sent(name: str, mimetype: str) -> Response:
    """A file of ours, which browsers keep and ask for anew: another version of the service has another."""
    answer = send_file(PAGES / name, mimetype=mimetype, conditional=False)
    answer.make_conditional(request)
    return answer
