"""How many jobs there are in each state, counted up to a limit: there may be a million of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, literal, select

from jobsvc.store.queries.job_rows import of_owner
from jobsvc.store.tables import jobs


def by_state(connection: Connection, states: Sequence[str], owner: str | None, most: int) -> dict[str, int]:
    """For each of the states, how many jobs there are that were not forgotten; `most`: that many, or more.

    With an `owner`, of this user alone. Answered from the index `jobs_counted`.
    """
    counts = []
    for state in states:
        which = (jobs.c.state == state, jobs.c.deleted_at.is_(None), *of_owner(owner))
        some = select(literal(1)).select_from(jobs).where(*which).limit(most).subquery()
        counts.append(select(func.count()).select_from(some).scalar_subquery())
    return dict(zip(states, connection.execute(select(*counts)).one(), strict=True))
