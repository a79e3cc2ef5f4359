"""Looking at the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jobsvc.access.acts import Act
from jobsvc.store.database import Database
from jobsvc.store.queries.callers import audit_rows


class AuditPage(NamedTuple):
    lines: Sequence[Mapping[str, Any]]
    next: int | None
    """The `after` of the next page; None if this is the last."""


class Audit:
    """Safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, *, limit: int, after: int | None, user: str | None, act: Act | None, target: str | None
    ) -> AuditPage:
        """Lines, newest first, from below the id `after`; those of a user, of an act, or about one thing."""
        with self._database.read() as connection:
            found = audit_rows.page(
                connection, limit=limit + 1, after=after, user=user, action=act, target=audit_rows.storable(target)
            )
        return AuditPage([dict(row) for row in found[:limit]], found[limit - 1]["id"] if len(found) > limit else None)
