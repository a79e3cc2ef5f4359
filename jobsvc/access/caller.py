"""Who sends a request, and whose jobs are there for it."""

from __future__ import annotations

from dataclasses import dataclass

from jobsvc.access.errors import Forbidden
from jobsvc.access.roles import Right, Role
from jobsvc.identifiers import Priority


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose jobs are there for somebody: those of `owner`, or, if it is None, everybody's."""

    owner: str | None

    def covers(self, user: str) -> bool:
        return self.owner is None or self.owner == user


EVERYBODY = Scope(None)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request. `kinds`: the kinds of job that it may start; None: all."""

    user: str
    role: Role
    kinds: frozenset[str] | None = None
    key_id: str | None = None
    """Which key it has shown; None: none was needed."""

    @property
    def scope(self) -> Scope:
        return EVERYBODY if self.role.sees_all else Scope(self.user)

    def check(self, right: Right) -> None:
        """Raise Forbidden without this right."""
        if right not in self.role.rights:
            having = ", ".join(role for role in Role if right in role.rights)
            raise Forbidden(f"a key with the role {self.role} may not {right}; the roles that may: {having}")

    def check_kind(self, kind: str) -> None:
        """Raise Forbidden if it may not start jobs of this kind."""
        if self.kinds is not None and kind not in self.kinds:
            allowed = ", ".join(sorted(self.kinds))
            raise Forbidden(f"this key may not start jobs of {kind}; it may start those of {allowed}")

    def check_priority(self, priority: Priority) -> None:
        """Raise Forbidden if its jobs may not have this priority."""
        if priority < self.role.highest:
            having = ", ".join(role for role in Role if Right.START in role.rights and priority >= role.highest)
            raise Forbidden(
                f"a key with the role {self.role} may start jobs with a priority up to {self.role.highest.word}, "
                f"and not {priority.word}; the roles that may: {having}"
            )


ANONYMOUS = "Jon-Doe"
"""Everybody's name where there are no keys."""


def anybody() -> Caller:
    """Whoever reaches a service that has no keys."""
    return Caller(ANONYMOUS, Role.ADMIN)
