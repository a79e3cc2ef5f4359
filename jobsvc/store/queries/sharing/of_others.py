"""The next job of those users who are not passed over, without a look at all jobs of those who are."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, RowMapping, func, select

from jobsvc.store.queries.job_rows import JOB, Due
from jobsvc.store.tables import jobs


def first_of_others(connection: Connection, state: str, due: Due, but: Collection[str]) -> RowMapping | None:
    """The job in `state` whose turn it is, as `first_in_state` has it, of those of users who are not in `but`; locked.

    Goes from user to user by an index, and looks at the first jobs of each: however many jobs one user has, it takes
    no longer. It does take longer the more users there are who have some.
    """
    mine, later = jobs.alias(), jobs.alias()
    users = select(func.min(jobs.c.user).label("user")).where(jobs.c.state == state).cte("users", recursive=True)
    next_user = select(func.min(later.c.user)).where(later.c.state == state, later.c.user > users.c.user)
    users = users.union_all(select(next_user.scalar_subquery()).where(users.c.user.is_not(None)))
    first = select(mine.c.key).where(mine.c.state == state, mine.c.user == users.c.user, *due.clauses(mine))
    first = first.order_by(mine.c.priority, mine.c.turn, mine.c.key).limit(1)
    keys = select(first.scalar_subquery()).where(users.c.user.is_not(None), users.c.user.not_in(but))
    # A row that was changed while this waited for it, PostgreSQL compares with these once more, and not with `keys`. An
    # index on the state would have all jobs in it.
    still = (func.coalesce(jobs.c.state, "") == state, *due.clauses())
    query = select(*JOB).where(jobs.c.key.in_(keys), *still).order_by(jobs.c.priority, jobs.c.turn, jobs.c.key)
    return connection.execute(query.limit(1).with_for_update(of=jobs, key_share=True)).mappings().one_or_none()
