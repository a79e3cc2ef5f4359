"""Without keys, only this machine is served: the second line of defence, after where the server listens."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, Response, request

from jobsvc.settings import is_loopback
from jobsvc.web.browsers import other_sites
from jobsvc.web.problems import Told, problem
from jobsvc.web.services import services

LOCAL_ONLY = Told(403, "local-only", "Only this machine is served")


def register(app: Flask) -> None:
    app.before_request(refuse_strangers)


def refuse_strangers() -> Response | None:
    """A server that its own options told to listen elsewhere never asked the settings.

    A page from elsewhere, open in a browser on this machine, is a stranger too: its
    requests have another Host (after its name was made to point here), or the browser
    says that they come from another site.
    """
    # Over a Unix socket there is no address.
    address = request.remote_addr
    name = urlsplit(f"//{request.host}").hostname or ""
    local = (not address or is_loopback(address)) and is_loopback(name)
    if local and not other_sites.is_foreign():
        return None
    # The database is asked last: that the process is alive must be told without it.
    if services().settings.allow_anonymous or services().keys.are_needed():
        return None
    return problem(
        *LOCAL_ONLY,
        "without keys everybody who reaches the service may upload, stop and read jobs, so requests from other "
        "machines, for other host names and from other sites' pages are refused; make keys "
        "(python -m jobsvc keys create NAME --role admin), or set JOBSVC_ALLOW_ANONYMOUS=1 if only people whom you "
        "trust can reach it",
    )
