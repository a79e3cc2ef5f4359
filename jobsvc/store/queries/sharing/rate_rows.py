"""Queries on `request_rates`, of PostgreSQL: the buckets of requests that all processes of a fleet share.

The clock is that of PostgreSQL's machine, and each statement's own: requests of one user follow each other there.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection, Interval, case, extract, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from jobsvc.store.tables import request_rates


def take(connection: Connection, user: str, sort: str, interval: float, burst: float) -> float:
    """Take a request out of a bucket that holds `burst` seconds' worth, and needs `interval` seconds for one.

    Returns 0, or, with nothing taken, after how many seconds there is one.
    """
    one, most = (literal(timedelta(seconds=seconds), Interval) for seconds in (interval, burst))
    now = func.clock_timestamp()
    # Later than that no bucket can be full: the clock was set back since.
    rested_at = case((request_rates.c.rested_at > now + most, now), else_=request_rates.c.rested_at)
    full_at = func.greatest(rested_at, now) + one
    first = insert(request_rates).values(user=user, sort=sort, rested_at=now + one)
    taking = first.on_conflict_do_update(
        index_elements=[request_rates.c.user, request_rates.c.sort],
        set_={"rested_at": full_at},
        where=full_at <= now + most,
    )
    if connection.execute(taking.returning(request_rates.c.user)).first() is not None:
        return 0.0
    mine = (request_rates.c.user == user, request_rates.c.sort == sort)
    left = select(extract("epoch", request_rates.c.rested_at + one - now - most)).where(*mine)
    # It may be there by now.
    return max(0.001, float(connection.execute(left).scalar_one()))
