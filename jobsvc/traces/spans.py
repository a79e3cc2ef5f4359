"""Spans: what took how long, and as a part of what. Until `use` was called, nobody is told, and nothing is imported.

A span has ids, counts and states. It never has what is in files, the text of an
error, or a path whose route is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

Value = str | int | float | bool | None
"""Of an attribute; one that is None is left out."""

NO_FIELDS: Mapping[str, str] = MappingProxyType({})


class Span:
    """Something that is under way, for the thread that does it; this one is told to nobody.

    Within a `with`, the spans that the thread begins are parts of it.
    """

    fields: Mapping[str, str] = NO_FIELDS
    """What the lines of the log have that are written meanwhile, so that they are found from the trace."""

    def __enter__(self) -> Span:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """It ends here. What was raised is told by its type."""

    def rename(self, name: str) -> None:
        """Give it the name that was not known when it began."""

    def note(self, attributes: Mapping[str, Value]) -> None:
        """Add what has become known meanwhile."""

    def fail(self, why: str) -> None:
        """It has gone wrong; `why` is one of a few words, such as the name of a type or a status."""


NOTHING = Span()


class Tracer(Protocol):
    """Begins spans. Safe to share among threads."""

    def span(self, name: str, attributes: Mapping[str, Value]) -> Span:
        """A part of what the thread does at the moment."""

    def request(self, name: str, headers: Mapping[str, str]) -> Span:
        """A request that has come in: a part of what its `traceparent` names, if that is one."""


class _Told:
    """Who is told of spans."""

    tracer: Tracer | None = None
    """Set before the process's threads begin, and where it ends."""


def use(tracer: Tracer | None) -> None:
    """Tell `tracer` of all spans that begin from now on; None: nobody."""
    _Told.tracer = tracer


def is_on() -> bool:
    return _Told.tracer is not None


def span(name: str, attributes: Mapping[str, Value] = NO_FIELDS) -> Span:
    """What the thread does within a `with`. Names are few: no ids."""
    tracer = _Told.tracer
    return NOTHING if tracer is None else tracer.span(name, attributes)


def request(name: str, headers: Mapping[str, str]) -> Span:
    """What a request asks for, from its beginning until its answer is sent."""
    tracer = _Told.tracer
    return NOTHING if tracer is None else tracer.request(name, headers)
