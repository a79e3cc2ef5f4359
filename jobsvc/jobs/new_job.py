"""What a client asks for when it submits a job, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.hooks import contained
from jobsvc.kinds.contract import BadParameter, Kind, Readable


@dataclass(frozen=True)
class Idempotency:
    """`key` is the client's; `fingerprint` is a digest of everything else in the request."""

    key: str
    fingerprint: str


@dataclass(frozen=True)
class NewJob:
    """A job to be. `params` were checked by `checked_params`."""

    id: str
    kind: str
    user: str
    params: Mapping[str, Any]
    filename: str | None = None
    callback_url: str | None = None
    idempotency: Idempotency | None = None


def checked_params(kind: Kind, given: Mapping[str, Any], upload: Readable | None = None) -> dict[str, Any]:
    """The parameters of a job, with their defaults, as they are stored.

    `given` may hold strings, as forms do; an empty string counts as not given.
    Raises InvalidParameter, which names a parameter that is not known, or the first that is not usable.
    """
    try:
        with contained(kind):
            params = kind.Params.model_validate({name: value for name, value in given.items() if value != ""})
            params = kind.prepare(params, upload)
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
    stored: dict[str, Any] = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    return stored
