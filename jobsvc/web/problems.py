"""Errors as HTTP answers: RFC 9457 problem documents. The original's routes have their own (`routes/original.py`)."""

from __future__ import annotations

import json
import logging
from typing import Any, NamedTuple

from flask import Flask, Response, request
from gunicorn.http.errors import NoMoreData, ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException, PreconditionFailed

from jobsvc.jobs.errors import (
    CantApply,
    CantRollBack,
    FilesRemoved,
    InvalidParameter,
    JobError,
    KeyReused,
    LimitReached,
    NotAllowed,
    QueueFull,
    TooManyPreviews,
    TooManyQueued,
    TooManyRequests,
    TooManyUploads,
    TooMuchStored,
    UnknownAction,
    UnknownJob,
    UnknownKind,
)
from jobsvc.logs.about import request_id
from jobsvc.service.callers.keys import UnknownKey
from jobsvc.service.results import NoResult
from jobsvc.store.errors import (
    Conflict,
    DatabaseBusy,
    DatabaseClosed,
    DatabaseDown,
    DiskFull,
    FilesDown,
    NoRoom,
    NotStorable,
)

log = logging.getLogger(__name__)

MIMETYPE = "application/problem+json"

DOWN_RETRY_SECONDS = 5
BUSY_RETRY_SECONDS = 1
FILES_RETRY_SECONDS = 10
ROOM_RETRY_SECONDS = 60

OF_USERS = (TooManyQueued, TooManyUploads, TooMuchStored)
"""Why a user may not have another job."""

NO_ROOM = (DiskFull, NoRoom)
"""The name of the problem that there is no room, in the database or for a file."""


class Told(NamedTuple):
    """How a problem is told."""

    status: int
    kind: str | None
    """The end of its type URI; None stands for about:blank, where the status says it all."""
    title: str


_KINDS: dict[type[JobError], Told] = {
    UnknownJob: Told(404, "unknown-job", "There is no such job"),
    UnknownAction: Told(404, "unknown-action", "There is no such action"),
    NoResult: Told(404, "no-result", "The job has no result file"),
    FilesRemoved: Told(410, "files-removed", "The files of the job were removed"),
    NotAllowed: Told(409, "not-allowed-now", "The state of the job does not allow this"),
    CantRollBack: Told(409, "cannot-roll-back", "The kind of job can't be rolled back"),
    CantApply: Told(409, "cannot-apply", "The job can't be applied"),
    KeyReused: Told(422, "idempotency-key-reused", "The idempotency key stands for another request"),
    UnknownKey: Told(404, "unknown-key", "There is no such key"),
    TooManyQueued: Told(429, "too-many-queued", "The user has too many jobs queued"),
    TooManyUploads: Told(429, "too-many-uploads", "The user has too many uploads under way"),
    TooManyRequests: Told(429, "too-many-requests", "The user sends too many requests"),
    TooMuchStored: Told(507, "too-much-stored", "The user has too much stored"),
    UnknownKind: Told(404, "unknown-kind", "There is no such kind of job"),
    QueueFull: Told(503, "queue-full", "Too many jobs are waiting"),
    TooManyPreviews: Told(503, "too-many-previews", "Too many previews are being made"),
    InvalidParameter: Told(400, "invalid-parameter", "A parameter is not usable"),
}

ENDING = Told(503, "ending", "This process is ending")
DOWN = Told(503, "database-down", "The database does not answer")
BUSY = Told(503, "database-busy", "Others keep the database locked")
NO_ROOM_LEFT = Told(507, "disk-full", "There is no room on the disk")
FILES_AWAY = Told(503, "files-down", "The store of the files does not answer")
CONFLICT = Told(503, "busy", "Others were changing the same")
NOT_STORABLE = Told(400, "not-storable", "A value can't be stored")
MALFORMED = Told(400, "malformed-body", "The body is not well-formed")
INCOMPLETE = Told(400, "incomplete-body", "The body is incomplete")
TIMED_OUT = Told(408, "request-timeout", "The request did not arrive")


def told(error: type[JobError] | type[HTTPException]) -> Told:
    """How an error is told."""
    if issubclass(error, JobError):
        return _KINDS[error]
    return Told(error.code or 500, None, error().name)


def problem(status: int, kind: str | None, title: str, detail: str | None, **more: Any) -> Response:
    """A problem document. `kind` ends its type URI; None stands for about:blank, where the status says it all."""
    body = {"type": f"urn:jobsvc:{kind}" if kind else "about:blank", "title": title, "status": status}
    if detail is not None:
        body["detail"] = detail
    if status >= 500 and (found := request_id()) is not None:
        # The client can do nothing about it but tell somebody who looks into the log.
        body["request_id"] = found
    return Response(json.dumps(body | more) + "\n", status, mimetype=MIMETYPE)


def register(app: Flask) -> None:
    app.register_error_handler(JobError, job_problem)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(ParseException, _malformed_body)
    app.register_error_handler(NoMoreData, _incomplete_body)
    app.register_error_handler(DatabaseClosed, _ending)
    app.register_error_handler(DatabaseBusy, _busy)
    app.register_error_handler(DatabaseDown, _down)
    for kind in NO_ROOM:
        app.register_error_handler(kind, _no_room)
    app.register_error_handler(FilesDown, _files_down)
    app.register_error_handler(Conflict, _conflict)
    app.register_error_handler(NotStorable, _not_storable)
    app.after_request(_precondition)


def job_problem(error: JobError) -> Response:
    status, kind, title = _KINDS[type(error)]
    more: dict[str, Any] = {}
    if isinstance(error, NotAllowed):
        more["state"] = error.state
    if isinstance(error, InvalidParameter):
        more["parameter"] = error.name
    if isinstance(error, LimitReached):
        more |= {"limit": error.setting, "allowed": error.allowed, "used": error.used}
    answer = problem(status, kind, title, str(error), **more)
    if isinstance(error, QueueFull | TooManyPreviews | LimitReached):
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _tell(what: str, error: Exception) -> None:
    """For the operator: its text may be a driver's or a store's own, which no client gets to see."""
    log.warning("%s %s: %s: %s", request.method, request.path, what, error)


def _ending(_: DatabaseClosed) -> Response:
    answer = problem(*ENDING, "nothing was changed; ask again in a moment")
    answer.headers["Retry-After"] = "1"
    return answer


def _down(error: DatabaseDown) -> Response:
    _tell("the database does not answer", error)
    answer = problem(*DOWN, "look whether it took effect, or ask again")
    answer.headers["Retry-After"] = str(DOWN_RETRY_SECONDS)
    return answer


def _busy(error: DatabaseBusy) -> Response:
    _tell("the database is locked", error)
    detail = "nothing was changed, and nothing was asked of a job; ask again in a moment"
    answer = problem(*BUSY, detail)
    answer.headers["Retry-After"] = str(BUSY_RETRY_SECONDS)
    return answer


def _no_room(error: Exception) -> Response:
    _tell("there is no room", error)
    answer = problem(*NO_ROOM_LEFT, no_room_detail(error))
    answer.headers["Retry-After"] = str(ROOM_RETRY_SECONDS)
    return answer


def no_room_detail(error: Exception) -> str:
    """The text for a client, which can do something about it."""
    why = "the disk is full" if isinstance(error, DiskFull) else str(error)
    return f"{why}; nothing was stored: roll back or delete what is not needed, or ask again when there is room"


def _files_down(error: FilesDown) -> Response:
    _tell("the store of the files does not answer", error)
    answer = problem(*FILES_AWAY, "ask again in a moment")
    answer.headers["Retry-After"] = str(FILES_RETRY_SECONDS)
    return answer


def _conflict(error: Conflict) -> Response:
    _tell("others were changing the same", error)
    answer = problem(*CONFLICT, "nothing was changed; ask again in a moment")
    answer.headers["Retry-After"] = "1"
    return answer


def _not_storable(error: NotStorable) -> Response:
    _tell("a value can't be stored", error)
    return problem(*NOT_STORABLE, "the database has no room for such a character or number")


def _malformed_body(error: ParseException) -> Response:
    """For a body in chunks: the server finds it while it reads."""
    return problem(*MALFORMED, str(error))


def _incomplete_body(error: NoMoreData) -> Response:
    if isinstance(error, TimeoutError):
        return problem(*TIMED_OUT, f"the body did not arrive: {error}")
    detail = "the connection was closed before the end of the body"
    return problem(*INCOMPLETE, detail)


def _precondition(answer: Response) -> Response:
    """Werkzeug gives the answer to a condition that failed the body that was not to be sent."""
    if answer.status_code != PreconditionFailed.code or answer.mimetype == MIMETYPE:
        return answer
    answer.close()
    return problem(*told(PreconditionFailed), "it is not the version that the request's If-Match names")


def _http_error(error: HTTPException) -> Response:
    answer = problem(error.code or 500, None, error.name, error.description)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer
