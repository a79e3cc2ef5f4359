"""What a line of the log is about: the request, the job, the attempt and the user that this thread works for.

The fields belong to the thread, and a new thread begins without any: whatever begins
one gives it its own (`copy_context`), or says anew what it works for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import MappingProxyType

Fields = Mapping[str, object]

NOTHING: Fields = MappingProxyType({})

_current: ContextVar[Fields] = ContextVar("jobsvc_log_fields", default=NOTHING)
"""What this thread works for."""


def current() -> Fields:
    """The fields of each line that the caller's thread writes."""
    return _current.get()


def begin(fields: Fields) -> Token[Fields]:
    """Have the thread's lines these fields, and no others, until `end`."""
    return _current.set(fields)


def end(token: Token[Fields]) -> None:
    _current.reset(token)


def add(**fields: object) -> None:
    """Give the thread's lines more fields, for as long as those last that they have. None is left out."""
    _current.set(_with(fields))


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Give the lines that the thread writes within the block these fields beside those that they have."""
    token = _current.set(_with(fields))
    try:
        yield
    finally:
        _current.reset(token)


def request_id() -> str | None:
    """The id of the request that the caller's thread works for, if it works for one."""
    found = _current.get().get("request_id")
    return found if isinstance(found, str) else None


def _with(fields: Fields) -> Fields:
    return {**_current.get(), **{name: value for name, value in fields.items() if value is not None}}
