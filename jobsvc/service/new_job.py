"""What a client asks for when it submits a job, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.kinds.contract import BadParameter, Kind, KnownJobs, Prepared, Readable
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
    try:
        empty = kind.Params.may_be_empty
        said = {name: value for name, value in given.items() if value != "" or name in empty}
        with contained(kind):
            prepared = kind.prepare(kind.Params.model_validate(said), upload)
            if not isinstance(prepared, Prepared):
                prepared = Prepared(prepared)
            kind.check_jobs(prepared.params, jobs)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # A name that is not known says more than the one that is missing in its place.
        first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
        name = ".".join(map(str, first["loc"])) or "parameters"
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(field.alias or name for name, field in kind.Params.model_fields.items())
            raise InvalidParameter(name, f"{kind.name} has no such parameter; it has {allowed or 'none'}") from None
        raise InvalidParameter(name, first["msg"].removeprefix("Value error, ")) from None
    except BadParameter as error:
        raise InvalidParameter(error.name, str(error)) from None
    return Checked(prepared.params.model_dump(mode="json", by_alias=True, exclude_none=True), prepared.warnings)
