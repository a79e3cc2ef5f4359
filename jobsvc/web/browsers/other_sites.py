"""Whether a request comes from another site's page, which a browser sends with whatever this user may do.

A browser says where a request comes from: in `Sec-Fetch-Site`, over HTTPS and on this
machine, and otherwise in `Origin`, with each request that is not GET or HEAD. A page can
change neither. Programs that are no browsers send neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

OURS = frozenset({"same-origin", "none"})
"""Values of `Sec-Fetch-Site`: a page of this service, and the person, by an address typed or a bookmark."""

PORTS = {"http": 80, "https": 443}

ONLY_READ = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, unless a route states otherwise."""


def is_foreign() -> bool:
    """Whether the browser says that the current request comes from another site's page, whatever it asks."""
    return request.headers.get("Sec-Fetch-Site") == "cross-site"


def says_where_from() -> bool:
    """Whether the current request, which is not GET or HEAD, can come from a page: see above."""
    return "Sec-Fetch-Site" in request.headers or "Origin" in request.headers


def why_not_ours(*, browser: bool) -> str | None:
    """Why the current request may not change anything; None if a page of this service sends it, or its user.

    `browser`: it is known to come from a browser, which says where it comes from. Otherwise
    one that says nothing of that comes from another program.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site in OURS:
            return None
        return f"it comes from another site's page (Sec-Fetch-Site: {site[:40]})"
    origin = request.headers.get("Origin")
    if origin is None:
        return "it does not say which page it comes from (Sec-Fetch-Site, Origin)" if browser else None
    place = _place(origin)
    if place is not None and place == _place(request.host_url):
        return None
    return f"it comes from a page of {origin[:80]}, and this is {request.host_url.rstrip('/')[:80]}"


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None if it has none, as the `Origin: null` of a page that hides where it is from."""
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError:
        return None
    if found.scheme not in PORTS or not found.hostname:
        return None
    return found.scheme, found.hostname, port or PORTS[found.scheme]
