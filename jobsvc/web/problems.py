"""Errors as HTTP answers: RFC 9457 problem documents, in one place."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from jobsvc.jobs.errors import InvalidParameter, JobError, NotAllowed, QueueFull, UnknownJob
from jobsvc.jobs.results import NoResult

_KINDS: dict[type[JobError], tuple[int, str, str]] = {
    UnknownJob: (404, "unknown-job", "There is no such job"),
    NoResult: (404, "no-result", "The job has no result file"),
    NotAllowed: (409, "not-allowed-now", "The state of the job does not allow this"),
    QueueFull: (503, "queue-full", "Too many jobs are waiting"),
    InvalidParameter: (400, "invalid-parameter", "A parameter is not usable"),
}


def problem(status: int, kind: str | None, title: str, detail: str | None, **more: Any) -> Response:
    """A problem document. `kind` ends its type URI; None stands for about:blank, where the status says it all."""
    body = {"type": f"urn:jobsvc:{kind}" if kind else "about:blank", "title": title, "status": status}
    if detail is not None:
        body["detail"] = detail
    return Response(json.dumps(body | more) + "\n", status, mimetype="application/problem+json")


def register(app: Flask) -> None:
    app.register_error_handler(JobError, _job_error)
    app.register_error_handler(HTTPException, _http_error)


def _job_error(error: JobError) -> Response:
    status, kind, title = _KINDS[type(error)]
    more: dict[str, Any] = {}
    if isinstance(error, NotAllowed):
        more["state"] = error.state
    if isinstance(error, InvalidParameter):
        more["parameter"] = error.name
    answer = problem(status, kind, title, str(error), **more)
    if isinstance(error, QueueFull):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _http_error(error: HTTPException) -> Response:
    answer = problem(error.code or 500, None, error.name, error.description)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer
