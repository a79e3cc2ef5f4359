"""Errors that may quote what is in somebody's file: where they came from is told, and not what they say.

What a kind raises is full of rows (`invalid literal for int(): '4711-…'`). Its text is on the
job, for the job's owner; the log of the process is read by others, and kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from traceback import format_tb
from types import MappingProxyType

PRIVATE: Mapping[str, object] = MappingProxyType({"private": True})
"""The `extra` of a line whose exception is a kind's, or may hold what a kind has read."""

MAX_CHAIN = 10
"""So many exceptions are told that led to one another."""


def without_texts(error: BaseException) -> str:
    """The traceback of an exception, and of those that led to it: files, lines, functions and types alone."""
    parts = []
    for one in _chain(error):
        kind = type(one)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        parts.append("Traceback (most recent call last):\n" + "".join(format_tb(one.__traceback__)) + name)
    return "\nwhich led to:\n".join(reversed(parts))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, and one after the other what it came from."""
    one: BaseException | None = error
    for _ in range(MAX_CHAIN):
        if one is None:
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
