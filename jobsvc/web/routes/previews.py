"""How the beginning of a file would be read, before anybody uploads it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from jobsvc.access.acts import Act
from jobsvc.access.roles import Right
from jobsvc.jobs.errors import InvalidParameter, TooManyPreviews
from jobsvc.kinds.contract import Kind
from jobsvc.web.access import authorized, caller, needs
from jobsvc.web.creation import CALLBACK_URL, PRIORITY, asked_priority
from jobsvc.web.openapi.answers import answers
from jobsvc.web.routes.original import OF_UPLOADS
from jobsvc.web.services import services
from jobsvc.web.takes import takes
from jobsvc.web.uploads.beginning import KIND, SIZE, receive_beginning

bp = Blueprint("previews", __name__)


@bp.route("/previews", methods=["POST", "PUT"])
@needs(Right.START, Act.PREVIEW_FILE)
@takes(KIND, SIZE, reads_body=True, reads_query=True)
@answers("Preview", TooManyPreviews, previews=True)
def preview() -> dict[str, Any]:
    """Show how the beginning of a file would be read. Nothing is kept."""
    beginning, name, options = receive_beginning()
    kind = _find(name or OF_UPLOADS)
    caller().check_kind(kind.name)
    callback_url = options.pop(CALLBACK_URL, "")
    if callback_url:
        services().check_callback(callback_url)
    asked_priority({PRIORITY: options.pop(PRIORITY, "")})
    return services().previews.preview(kind, options, beginning, authorized())


def _find(name: str) -> Kind:
    kinds = services().kinds
    if name not in kinds:
        raise InvalidParameter(KIND, f"{name[:40]!r} must be one of {', '.join(sorted(kinds))}")
    return kinds[name]
