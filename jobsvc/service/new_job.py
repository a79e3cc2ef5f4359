"""What a client asks for when it submits a job, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.refused_values import said_of
from jobsvc.jobs.stored_file import StoredFile
from jobsvc.kinds.contract import BadParameter, Kind, KindParams, KnownJobs, Prepared, Readable
from jobsvc.runs.hooks import contained

T = TypeVar("T")


@dataclass(frozen=True)
class Idempotency:
    """`key` is the client's; `fingerprint` is a digest of everything else in the request."""

    key: str
    fingerprint: str


def once_for_each_key(idempotency: Idempotency | None, transaction: Callable[[], T]) -> T:
    """Call `transaction`, which finds what the same request has made before, or makes it and notes the key.

    On PostgreSQL a twin of the request may use the key after it was looked for: then the
    transaction breaks off, and what the twin has made is found by another one.
    """
    try:
        return transaction()
    except IntegrityError:
        if idempotency is None:
            raise
        return transaction()


@dataclass(frozen=True)
class NewJob:
    """A job to be. `params` and `warnings` come from `checked`."""

    id: str
    kind: str
    user: str
    params: Mapping[str, Any]
    warnings: Sequence[str] = ()
    filename: str | None = None
    callback_url: str | None = None
    idempotency: Idempotency | None = None
    scope: str | None = None
    """The user whose records alone it may read; None: everybody's."""
    priority: Priority = Priority.NORMAL
    upload_bytes: int = 0
    """How many bytes its upload has in the store."""
    file: StoredFile | None = None
    uploaded_at: datetime | None = None
    """When its file was uploaded, if that was for another job."""
    applied_from: str | None = None
    """The id of the dry run that is applied."""


@dataclass(frozen=True)
class Checked:
    """The parameters of a job, with their defaults, as they are stored, and what its owner should know."""

    params: Mapping[str, Any]
    warnings: Sequence[str] = ()


def checked(kind: Kind, given: Mapping[str, Any], upload: Readable | None, jobs: KnownJobs) -> Checked:
    """Check the parameters of a job to be, beside its upload and the jobs there are.

    `given` may hold strings, as forms do; an empty string counts as not given, unless it
    says something to the kind. Raises BadUpload, and InvalidParameter, which names a
    parameter that is not known, or the first that is not usable.
    """
    params = validated(kind, given)
    try:
        found = prepared(kind, params, upload, jobs)
    except BadParameter as error:
        raise InvalidParameter(error.name, str(error)) from None
    return Checked(stored(found.params), found.warnings)


def validated(kind: Kind, given: Mapping[str, Any]) -> KindParams:
    """The parameters by themselves. Raises InvalidParameter."""
    try:
        empty = kind.Params.may_be_empty
        said = {name: value for name, value in given.items() if value != "" or name in empty}
        with contained(kind):
            return kind.Params.model_validate(said)
    except ValidationError as error:
        raise _invalid(kind, error) from None


def prepared(kind: Kind, params: KindParams, upload: Readable | None, jobs: KnownJobs) -> Prepared:
    """The parameters beside the upload and the jobs. Raises BadUpload, BadParameter, InvalidParameter."""
    try:
        with contained(kind):
            found = kind.prepare(params, upload)
            if not isinstance(found, Prepared):
                found = Prepared(found)
            kind.check_jobs(found.params, jobs)
            return found
    except ValidationError as error:
        raise _invalid(kind, error) from None


def stored(params: Any) -> dict[str, Any]:
    """Parameters as they are stored with a job."""
    found: dict[str, Any] = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _invalid(kind: Kind, error: ValidationError) -> InvalidParameter:
    errors = error.errors(include_url=False)
    # A name that is not known says more than the one that is missing in its place.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    name = ".".join(map(str, first["loc"])) or "parameters"
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(field.alias or name for name, field in kind.Params.model_fields.items())
        return InvalidParameter(name, f"{kind.name} has no such parameter; it has {allowed or 'none'}")
    return InvalidParameter(name, said_of(first))
