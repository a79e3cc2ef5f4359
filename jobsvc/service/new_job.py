"""What a client asks for when it submits a job, checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from jobsvc.identifiers import Priority
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.refused_values import said_of
from jobsvc.jobs.stored_file import StoredFile
from jobsvc.kinds.contract import BadParameter, Kind, KindParams, KnownJobs, Prepared, Readable
from jobsvc.runs.hooks import contained

T = TypeVar("T")

NO_TEXT = frozenset(
    {
        *("list_type", "tuple_type", "set_type", "frozen_set_type", "dict_type", "mapping_type"),
        *("model_type", "model_attributes_type", "dataclass_type", "literal_error", "enum"),
    }
)
"""What pydantic says of a text where a list, an object or the like is to be."""

MAX_JSON_CHARACTERS = 64 * 1024
"""As much as a JSON body may have."""


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
    says something to the kind, and one for a list or an object is read as JSON. Raises
    BadUpload, and InvalidParameter, which names a parameter that is not known, or the first
    that is not usable.
    """
    params = validated(kind, given)
    try:
        found = prepared(kind, params, upload, jobs)
    except BadParameter as error:
        raise InvalidParameter(error.name, str(error)) from None
    return Checked(stored(found.params), found.warnings)


def validated(kind: Kind, given: Mapping[str, Any]) -> KindParams:
    """The parameters by themselves. Raises InvalidParameter."""
    empty = kind.Params.may_be_empty
    said = {name: value for name, value in given.items() if value != "" or name in empty}
    try:
        with contained(kind):
            try:
                return kind.Params.model_validate(said)
            except ValidationError as error:
                read = _with_json_read(said, error)
                if read is None:
                    raise
                return kind.Params.model_validate(read)
    except ValidationError as error:
        raise _invalid(kind, error) from None


def _with_json_read(said: Mapping[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """The same, with JSON read where a form has a text and no text will do; None if there is no such thing."""
    refused: dict[str, set[str]] = {}
    for one in error.errors(include_url=False):
        if one["loc"]:
            refused.setdefault(str(one["loc"][0]), set()).add(one["type"])
    found = {}
    for name, types in refused.items():
        text = said.get(name)
        if types <= NO_TEXT and isinstance(text, str) and len(text) <= MAX_JSON_CHARACTERS:
            try:
                found[name] = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
            except (ValueError, RecursionError):
                continue
    return {**said, **found} if found else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")


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
