"""Styles, scripts and icons of the pages, kept by browsers for good: another content has another address."""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Blueprint, Response, g, request, send_file, url_for
from werkzeug.exceptions import NotFound, PreconditionFailed

from jobsvc.web.access import public
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.takes import takes

ASSETS = Path(__file__).parents[1] / "pages" / "assets"

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

LICENSE = "LICENSE."
"""How the names of licences begin, which are served too."""

KEPT_SECONDS = 365 * 24 * 3600


def _found() -> dict[str, Path]:
    paths = [path for path in (*ASSETS.iterdir(), *(ASSETS / "vendor").iterdir()) if path.is_file()]
    return {path.name: path for path in sorted(paths) if path.suffix in TYPES or path.name.startswith(LICENSE)}


FILES = _found()
"""All that is served, by name."""


def _digest() -> str:
    found = hashlib.sha256()
    for name, path in FILES.items():
        found.update(name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


VERSION = _digest()
"""Of all of them together: files of the same version name each other by relative addresses."""

bp = Blueprint("assets", __name__, url_prefix="/assets")


def asset_url(name: str) -> str:
    """The address of a file, in its present version."""
    # A page names hundreds of icons, and `url_for` would be a fifth of its time.
    if "assets" not in g:
        g.assets = url_for("assets.asset", version=VERSION, file="x").removesuffix("x")
    return f"{g.assets}{name}"


@bp.get("/<version>/<file>")
@public
@takes()
@answers({200: Raw.of(*TYPES.values(), "text/plain"), 304: None}, NotFound, PreconditionFailed)
def asset(version: str, file: str) -> Response:
    """A file of the dashboard's pages."""
    if file not in FILES:
        raise NotFound("there is no such file")
    answer = send_file(FILES[file], mimetype=TYPES.get(FILES[file].suffix, "text/plain"), conditional=False)
    answer.make_conditional(request)
    if version == VERSION:
        answer.cache_control.no_cache = None
        answer.cache_control.public = True
        answer.cache_control.max_age = KEPT_SECONDS
        answer.cache_control.immutable = True
    # A page of another version of the service may ask in the middle of an upgrade: it must not keep what it gets.
    return answer
