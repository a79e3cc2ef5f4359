"""Roles, and the rights that each has: the one table of who may do what.

A route states the right that it needs (`web/access.py`); nothing else looks at roles.
"""

from __future__ import annotations

from enum import StrEnum

from jobsvc.identifiers import Priority


class Right(StrEnum):
    """What a route may need."""

    LOOK = "look"
    """See jobs, their history and files, and what they made."""
    START = "start"
    """Start jobs, and have files looked at."""
    STEER = "steer"
    """Pause, resume, terminate, roll back and delete jobs."""
    OVERSEE = "oversee"
    """See the service itself: its workers and metrics."""
    MANAGE = "manage"
    """Make and revoke keys, and read the audit."""


class Role(StrEnum):
    """What a key is for."""

    VIEWER = "viewer"
    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rights(self) -> frozenset[Right]:
        return RIGHTS[self]

    @property
    def highest(self) -> Priority:
        """The highest priority that its jobs may have."""
        return HIGHEST.get(self, Priority.NORMAL)

    @property
    def sees_all(self) -> bool:
        """Whether it sees everybody's jobs; else those of its own user alone, and others' are not there for it."""
        return self in SEE_ALL


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.VIEWER: frozenset({Right.LOOK, Right.OVERSEE}),
    Role.USER: frozenset({Right.LOOK, Right.START, Right.STEER}),
    Role.OPERATOR: frozenset({Right.LOOK, Right.START, Right.STEER, Right.OVERSEE}),
    Role.ADMIN: frozenset(Right),
}

HIGHEST = {Role.OPERATOR: Priority.HIGH, Role.ADMIN: Priority.HIGH}
"""The highest priority that a job may have which a role starts; where nothing is said, normal."""

SEE_ALL = frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN})
