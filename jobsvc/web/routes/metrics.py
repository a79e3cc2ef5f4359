"""What is measured, for Prometheus."""

from __future__ import annotations

import gzip

from flask import Blueprint, Response, request

from jobsvc.access.roles import Right
from jobsvc.web.access import needs
from jobsvc.web.openapi.answers import Raw, answers
from jobsvc.web.services import services
from jobsvc.web.takes import takes

bp = Blueprint("metrics", __name__)

GZIP_LEVEL = 1


@bp.get("/metrics")
@needs(Right.OVERSEE, counted=False)
@takes()
@answers(Raw.of("text/plain"))
def metrics() -> Response:
    """What is measured, in Prometheus's text format: of this service, and of all its web processes on this machine."""
    measured = services().measured
    answer = Response(measured.text(), content_type=measured.content_type)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Vary"] = "Accept-Encoding"
    if request.accept_encodings["gzip"] > 0:
        # Prometheus asks for it. An answer of more than 64 KiB would wait for a slot beside uploads and downloads.
        answer.set_data(gzip.compress(answer.get_data(), GZIP_LEVEL))
        answer.headers["Content-Encoding"] = "gzip"
    return answer
