"""What each route answers: stated beside the route, shown in the contract, and held against what tests see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias, TypeVar

from werkzeug.exceptions import HTTPException

from jobsvc.jobs.errors import JobError

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Raw:
    """A body that is no JSON object, by its media types."""

    media_types: tuple[str, ...]

    @classmethod
    def of(cls, *media_types: str) -> Raw:
        return cls(media_types)


Body: TypeAlias = str | Raw | None
"""A JSON object of the shape with that name, which `known_shapes` has; something else; or nothing."""

Refusal: TypeAlias = type[JobError] | type[HTTPException]

EACH_KIND = "*"


@dataclass(frozen=True)
class Answers:
    """What a route answers beside what any route may: see `refusals.ANYWHERE`."""

    bodies: Mapping[int, Body]
    """By status."""
    refusals: tuple[Refusal, ...] = ()
    """The errors that its service raises. Their statuses are those of `web/problems.py`."""
    creates: str | None = None
    """The kind of the job that it creates, whose parameters it takes; EACH_KIND: the one that its path names."""
    repeatable: bool = False
    """Whether it creates something else, once for each idempotency key."""
    previews: bool = False
    """Whether it takes what an upload takes, for a kind that a parameter names."""
    original: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """By status, the error types that it answers as the original does."""

    @property
    def can_be_unchanged(self) -> bool:
        """Whether its answers have tags, by which clients can ask for what is new alone."""
        return HTTPStatus.NOT_MODIFIED in self.bodies


_STATED: dict[Callable[..., Any], Answers] = {}
"""By view function. Written while modules are imported, only read afterwards."""


def answers(
    bodies: Body | Mapping[int, Body],
    *refusals: Refusal,
    creates: str | None = None,
    repeatable: bool = False,
    previews: bool = False,
    original: Mapping[int, tuple[str, ...]] | None = None,
) -> Callable[[View], View]:
    """State what a route answers: a body for each status (a body alone: 200), and the errors with which it refuses.

    The first line of the view's docstring is its summary.
    """
    by_status = bodies if isinstance(bodies, Mapping) else {200: bodies}

    def state(view: View) -> View:
        _STATED[view] = Answers(by_status, refusals, creates, repeatable, previews, original or {})
        return view

    return state


def stated(view: Callable[..., Any]) -> Answers | None:
    """What a route's view function has stated, if it has."""
    return _STATED.get(view)
