"""Where a browser goes on: to the login page, and from there to what it had asked for."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Response, request, url_for

LOCAL_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")
r"""A path of this service, in printable ASCII without \: a browser takes //, /\ and a tab between for another host."""


def local_path(text: object) -> str | None:
    """The same text, if it is a path of this service and can't lead anywhere else."""
    return text if isinstance(text, str) and LOCAL_PATH.fullmatch(text) else None


def is_page_view() -> bool:
    """Whether a browser wants to show the answer to its user: it prefers HTML. Programs rarely ask for that."""
    return request.method == "GET" and prefers_html()


def prefers_html() -> bool:
    """Whether the current request's sender would rather have HTML than JSON. Who takes anything would not."""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def to_login() -> Response:
    """Lead to the login page, and from there back to here."""
    query = request.query_string.decode("latin-1")
    here = local_path(quote(request.root_path + request.path) + (f"?{query}" if query else ""))
    answer = Response(status=303, headers={"Location": url_for("login.page", next=here)})
    answer.cache_control.no_store = True
    answer.vary.update(("Accept", "Cookie"))
    return answer
