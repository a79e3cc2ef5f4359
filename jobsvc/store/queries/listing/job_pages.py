"""Pages of jobs, the newest first: as quick with a million jobs as with a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, CursorResult, Select, func, select, union_all

from jobsvc.identifiers import JobKey
from jobsvc.store.queries.job_rows import JOB
from jobsvc.store.queries.listing.searched import contains
from jobsvc.store.streaming import streamed
from jobsvc.store.tables import jobs

SEARCHED_JOBS = 250_000
"""So many keys a search for a text goes through for a page: a fraction of a second, found or not."""


@dataclass(frozen=True)
class Listed:
    """Which jobs are listed, of those that were not forgotten; None, or no states: whatever it is."""

    states: Sequence[str] = ()
    kind: str | None = None
    user: str | None = None
    text: str | None = None

    def clauses(self) -> list[ColumnElement[bool]]:
        """Without the states."""
        found: list[ColumnElement[bool]] = [jobs.c.deleted_at.is_(None)]
        if self.kind is not None:
            # An index on the kind has all jobs of it: a search would go through these, and not through its span.
            kind = jobs.c.kind if self.text is None else func.coalesce(jobs.c.kind, "")
            found.append(kind == self.kind)
        if self.user is not None:
            found.append(jobs.c.user == self.user)
        if self.text is not None:
            found.append(contains(self.text))
        return found


class Span(NamedTuple):
    """The keys among which a page is looked for: above `above`, and below `below`; None: no matter."""

    above: JobKey | None
    below: JobKey | None

    def clauses(self) -> list[ColumnElement[bool]]:
        found = [] if self.above is None else [jobs.c.key > self.above]
        return found if self.below is None else [*found, jobs.c.key < self.below]


def span(connection: Connection, listed: Listed, after: JobKey | None) -> Span:
    """Where the page after the key `after` is looked for; None: the first page."""
    if listed.text is None:
        return Span(None, after)
    youngest = connection.execute(select(func.coalesce(func.max(jobs.c.key), 0))).scalar_one()
    below = youngest + 1 if after is None else min(after, youngest + 1)
    lowest = below - SEARCHED_JOBS - 1
    return Span(JobKey(lowest) if lowest > 0 else None, JobKey(below))


def page(connection: Connection, listed: Listed, within: Span, limit: int) -> CursorResult[*tuple[Any, ...]]:
    """Jobs, newest first: to be read one after the other, and closed."""
    query = select(*JOB)
    if len(listed.states) > 1:
        # An index has the keys of one state in their order, but not those of several.
        each = (_keys(listed, within, limit).where(jobs.c.state == state).subquery() for state in listed.states)
        query = query.where(jobs.c.key.in_(union_all(*(select(found.c.key) for found in each))))
    else:
        query = query.where(*listed.clauses(), *within.clauses(), *(jobs.c.state == state for state in listed.states))
    return streamed(connection, query.order_by(jobs.c.key.desc()).limit(limit))


def _keys(listed: Listed, within: Span, limit: int) -> Select[Any]:
    query = select(jobs.c.key).where(*listed.clauses(), *within.clauses())
    return query.order_by(jobs.c.key.desc()).limit(limit)
