"""Is it alive, and can it take work?"""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from jobsvc.version import VERSION
from jobsvc.web.access import public
from jobsvc.web.openapi.answers import answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
@takes()
@answers("Alive")
def healthz() -> dict[str, Any]:
    """The process answers; which version of the service it is."""
    return {"status": "ok", "version": VERSION}


@bp.get("/readyz")
@public
@takes()
@answers({200: "Ready", 503: "NotReady"})
def readyz() -> tuple[dict[str, Any], int]:
    """The database answers, and the service isn't about to end. Uploads are taken also while no worker is alive."""
    reason = services().not_ready()
    if reason is not None:
        return {"status": "not ready", "reason": reason}, 503
    alive = services().workers.count()
    return {"status": "ready"} | ({} if alive is None else {"workers": alive}), 200
