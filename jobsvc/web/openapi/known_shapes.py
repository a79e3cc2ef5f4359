"""The shapes of answers by name: routes name them, so that a process that nobody asks for the contract makes none."""

from __future__ import annotations

from pydantic import BaseModel

from jobsvc.web.openapi import preview_shapes, report_shapes, sample_shapes, service_shapes, shapes

_HOMES = (shapes, preview_shapes, report_shapes, sample_shapes, service_shapes)


class UnknownShape(Exception):
    """A route names a shape that there is not."""


def named(name: str) -> type[BaseModel]:
    """The shape with this name. Raises UnknownShape."""
    for home in _HOMES:
        found = getattr(home, name, None)
        if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == home.__name__:
            return found
    raise UnknownShape(f"{name!r}: the shapes are in {', '.join(home.__name__ for home in _HOMES)}")
