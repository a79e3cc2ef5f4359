"""Without keys, only this machine is served: the second line of defence behind where the server listens."""

from __future__ import annotations

from flask import Flask, Response, request

from jobsvc.settings import is_loopback
from jobsvc.web.problems import problem
from jobsvc.web.services import services


def register(app: Flask) -> None:
    app.before_request(refuse_strangers)


def refuse_strangers() -> Response | None:
    """A server that was told to listen elsewhere by its own options never asked the settings."""
    # Over a Unix socket there is no address.
    address = request.remote_addr
    if services().settings.allow_anonymous or not address or is_loopback(address):
        return None
    return problem(
        403,
        "local-only",
        "Only this machine is served",
        "without keys everybody who reaches the service may upload, stop and read jobs, so requests from "
        "other machines are refused; set JOBSVC_ALLOW_ANONYMOUS=1 if only people whom you trust can reach it",
    )
