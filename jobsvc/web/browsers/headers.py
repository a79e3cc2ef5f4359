"""The headers that tell a browser what it may do with an answer: on every answer."""

from __future__ import annotations

from flask import Flask, Response, g, request

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The policy of what is no page: it is only looked at."""

OF_PAGES = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""The policy of our pages: all they need comes from this service, and nothing runs that stands in their text."""

ALWAYS = {
    "Content-Security-Policy": NOTHING,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""The headers of an answer that is no page."""

HTTPS_ONLY = "Strict-Transport-Security"

HTTPS_ONLY_SECONDS = 365 * 24 * 3600
"""For so long a browser that was here by HTTPS comes back by nothing else."""

NAMES = (*ALWAYS, HTTPS_ONLY)


def register(app: Flask) -> None:
    """The first that is registered has the last word on an answer."""
    app.after_request(add)


def add(answer: Response) -> Response:
    answer.headers.update(ALWAYS)
    if answer.mimetype == "text/html":
        answer.headers["Content-Security-Policy"] = OF_PAGES
    if request.is_secure:
        answer.headers[HTTPS_ONLY] = f"max-age={HTTPS_ONLY_SECONDS}"
    if "session" in g and not answer.cache_control.no_store:
        # What one person sees is nothing for a cache that others use.
        answer.cache_control.private = True
        answer.cache_control.no_cache = True
    return answer
