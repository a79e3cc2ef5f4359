"""Requests that create a job, by any route."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from flask import request

from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.job import Job
from jobsvc.kinds.contract import BadUpload, Kind
from jobsvc.service.new_job import Idempotency, NewJob, checked
from jobsvc.web.access import authorized, caller
from jobsvc.web.services import services
from jobsvc.web.uploads.receive import Upload, UploadRefused, least_bytes, receive

CALLBACK_URL = "callback_url"
PRIORITY = "priority"

BESIDE_PARAMS = frozenset({CALLBACK_URL, PRIORITY})
"""Options of every job, whatever its kind."""

MAX_KEY_CHARACTERS = 255


def create_from_upload(kind: Kind) -> Job:
    """Create a job from a request with a file, and options in its form or its query."""
    job_id = authorized().new_id(kind.name)
    allowance = authorized().before_upload(idempotency_key(), least_bytes())
    with services().uploads.one_of(caller().user), receive(job_id, allowance) as upload:
        job = _create(kind, job_id, upload.options, upload)
        if job.id == job_id:
            upload.keep()
    return job


def create_from_fields(kind: Kind, fields: Mapping[str, Any]) -> Job:
    """Create a job of a kind that takes no file."""
    return _create(kind, authorized().new_id(kind.name), fields, None)


def _create(kind: Kind, job_id: str, fields: Mapping[str, Any], upload: Upload | None) -> Job:
    given = {name: value for name, value in fields.items() if name not in BESIDE_PARAMS}
    priority, callback_url = asked_priority(fields), asked_callback(fields)
    try:
        found = checked(kind, given, upload.file if upload else None, authorized())
    except BadUpload as error:
        raise UploadRefused(str(error)) from None
    new = NewJob(
        id=job_id,
        kind=kind.name,
        user=caller().user,
        params=found.params,
        warnings=[*(upload.warnings if upload else ()), *found.warnings],
        filename=upload.filename if upload else None,
        callback_url=callback_url,
        idempotency=_idempotency(kind, given, callback_url, priority, upload),
        priority=priority,
        upload_bytes=upload.stored.bytes if upload else 0,
        file=upload.stored if upload else None,
    )
    return authorized().submit(new)


def asked_callback(fields: Mapping[str, Any]) -> str | None:
    """Raises InvalidParameter."""
    callback_url: str | None = fields.get(CALLBACK_URL)
    if callback_url is None or callback_url == "":
        return None
    services().check_callback(callback_url)
    return callback_url


def asked_priority(fields: Mapping[str, Any]) -> Priority:
    """Raises InvalidParameter, and Forbidden for one that the caller may not ask for."""
    word = fields.get(PRIORITY)
    if word is None or word == "":
        return Priority.NORMAL
    found = next((each for each in Priority if each.word == word), None)
    if found is None:
        raise InvalidParameter(PRIORITY, f"must be one of {', '.join(Priority.words())}")
    caller().check_priority(found)
    return found


def idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isascii() or not key.isprintable():
        raise InvalidParameter("Idempotency-Key", f"must be 1 to {MAX_KEY_CHARACTERS} printable ASCII characters")
    return key


def scope_of_request() -> list[str]:
    """What makes a request another one for a caller who sees their own jobs alone."""
    owner = caller().scope.owner
    return [] if owner is None else [owner]


def _idempotency(
    kind: Kind, given: Mapping[str, Any], callback_url: str | None, priority: Priority, upload: Upload | None
) -> Idempotency | None:
    """The request's key, and a digest of all that makes it this request: the kind, the options and the file's bytes."""
    key = idempotency_key()
    if key is None:
        return None
    content: list[Any] = [
        kind.name,
        callback_url,
        sorted(given.items()),
        upload.stored.sha256 if upload else None,
        *scope_of_request(),
    ]
    if priority is not Priority.NORMAL:
        # Without it, a request counts as the one that an earlier version has seen.
        content.append({PRIORITY: priority.word})
    return Idempotency(key, hashlib.sha256(json.dumps(content).encode()).hexdigest())
