"""How many jobs there are in each state, counted up to a limit: there may be a million of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Select, bindparam, func, literal, select

from jobsvc.store.tables import jobs


def by_state(connection: Connection, states: Sequence[str], owner: str | None, most: int) -> dict[str, int]:
    """For each of the states, how many jobs there are that were not forgotten; `most`: that many, or more.

    With an `owner`, of this user alone. Answered from the index `jobs_counted`.
    """
    query = _by_state(tuple(states), of_one=owner is not None)
    counts = connection.execute(query, {"wanted_user": owner, "most": most}).one()
    return dict(zip(states, counts, strict=True))


@cache
def _by_state(states: tuple[str, ...], *, of_one: bool) -> Select[Any]:
    """Kept, since building it takes longer than executing it: every open list asks every two seconds."""
    counts = []
    for state in states:
        which = [jobs.c.state == state, jobs.c.deleted_at.is_(None)]
        if of_one:
            which.append(jobs.c.user == bindparam("wanted_user"))
        some = select(literal(1)).select_from(jobs).where(*which).limit(bindparam("most", type_=Integer)).subquery()
        counts.append(select(func.count()).select_from(some).scalar_subquery())
    return select(*counts)
