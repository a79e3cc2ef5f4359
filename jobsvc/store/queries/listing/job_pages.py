"""Pages of jobs, the newest first: as quick with a million jobs as with a hundred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, CursorResult, func, select, union_all

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
    states, by_state = listed.states, bool(listed.states)
    if not by_state and listed.kind is not None and listed.text is None:
        # The indexes on the kind have its jobs state by state.
        states, by_state = _states_of(connection, listed.kind, listed.user), True
    query = select(*JOB)
    if not by_state or len(states) == 1:
        query = query.where(*listed.clauses(), *within.clauses(), *(jobs.c.state == state for state in states))
    else:
        query = query.where(jobs.c.key.in_(_youngest(connection, listed, states, within, limit)))
    return streamed(connection, query.order_by(jobs.c.key.desc()).limit(limit))


def _youngest(
    connection: Connection, listed: Listed, states: Sequence[str], within: Span, limit: int
) -> Sequence[JobKey]:
    """The keys of a page's jobs. An index has the keys of one state in their order, but not those of several."""
    if not states:
        return []
    query = select(jobs.c.key).where(*listed.clauses(), *within.clauses()).order_by(jobs.c.key.desc()).limit(limit)
    each = (query.where(jobs.c.state == state).subquery() for state in states)
    return nlargest(limit, connection.execute(union_all(*(select(found.c.key) for found in each))).scalars())


def _states_of(connection: Connection, kind: str, user: str | None) -> Sequence[str]:
    """The states that jobs of this kind are in, of all users or of one: whatever they are called.

    The indexes on the kind have the jobs in the order of their states. Each state is looked up from
    the one before, which takes as many steps as there are states, however many jobs are in them.
    """
    which = [jobs.c.kind == kind]
    if user is not None:
        which += [jobs.c.user == user, jobs.c.deleted_at.is_(None)]
    found = select(func.min(jobs.c.state).label("state")).where(*which).cte(recursive=True)
    following = select(func.min(jobs.c.state)).where(*which, jobs.c.state > found.c.state).scalar_subquery()
    found = found.union_all(select(following).where(found.c.state.is_not(None)))
    return connection.execute(select(found.c.state).where(found.c.state.is_not(None))).scalars().all()
