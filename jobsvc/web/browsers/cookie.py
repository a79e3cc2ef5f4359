"""The cookie by which a browser is known once its user has logged in."""

from __future__ import annotations

from flask import Response, request

from jobsvc.access.session_text import LONGEST

NAME = "jobsvc"

SECURE_NAME = f"__Host-{NAME}"
"""Browsers take a cookie of such a name over HTTPS alone, for this host and all its paths (RFC 6265bis, 4.1.3.2)."""


def sent() -> str | None:
    """The session's id that came with the current request."""
    return request.cookies.get(_name())


def give(answer: Response, session: str) -> None:
    """Have the browser send that id from now on, with requests of this service's own pages alone."""
    answer.set_cookie(
        _name(),
        session,
        max_age=LONGEST,
        path="/",
        secure=request.is_secure,
        httponly=True,
        samesite="Strict",
    )


def take_back(answer: Response) -> None:
    answer.delete_cookie(_name(), path="/", secure=request.is_secure, httponly=True, samesite="Strict")


def _name() -> str:
    return SECURE_NAME if request.is_secure else NAME
