"""Which jobs have records in a range of dates, found in short steps through an index."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection, String, case, cast, func, null, select, tuple_

from jobsvc.store.tables import records
from jobsvc.store.types import Big

ENTRIES_AT_A_TIME = 10_000
LEAPS_AT_A_TIME = 200
"""How many entries of the index one step reads, or leaps over: a few milliseconds' worth."""

ENTRIES_WORTH_A_LEAP = 100
"""A leap takes about as long as reading so many entries."""

AFTER_ALL_ROWS = 2**63 - 1

_DAY = String().with_variant(String(collation="C"), "postgresql")
"""As `types.IsoDate`, but as long as what PostgreSQL makes of several of them."""


class Place(NamedTuple):
    """In the index `records_date`: a date, the key of a job, and a row. Keys and rows count from 1."""

    day: str
    key: int
    row: int


class Step(NamedTuple):
    keys: set[int]
    place: Place | None
    """Where to go on; None if there is nothing further."""
    leap: bool
    """Whether to leap from there: it is worth it where jobs have many records of a date."""


def beginning(first: str) -> Step:
    return Step(set(), Place(first, 0, 0), leap=False)


def next_step(connection: Connection, before: Step, *, last: str, below: int) -> Step:
    """The keys, less than `below`, of some more jobs with records of dates up to `last`."""
    assert before.place is not None
    return (_leap if before.leap else _read)(connection, before.place, last, below)


def _read(connection: Connection, place: Place, last: str, below: int) -> Step:
    """Look at every record in turn."""
    entries = (
        select(records.c.date, records.c.job_key, records.c.row)
        .where(tuple_(records.c.date, records.c.job_key, records.c.row) > place, records.c.date <= last)
        .order_by(records.c.date, records.c.job_key, records.c.row)
    )
    found = connection.execute(entries.offset(ENTRIES_AT_A_TIME - 1).limit(1)).one_or_none()
    until = None if found is None else Place(*found)
    some = entries.limit(ENTRIES_AT_A_TIME).subquery()
    keys = set(connection.execute(select(some.c.job_key).distinct()).scalars())
    worth = until is not None and _days(place, until) * len(keys) * ENTRIES_WORTH_A_LEAP <= ENTRIES_AT_A_TIME
    return Step({key for key in keys if key < below}, until, leap=worth)


def _days(place: Place, until: Place) -> int:
    try:
        return (date.fromisoformat(until.day) - date.fromisoformat(place.day)).days + 1
    except ValueError:
        # Somebody else wrote this, and it is no date.
        return ENTRIES_AT_A_TIME


def _leap(connection: Connection, place: Place, last: str, below: int) -> Step:
    """Look at one record of each job and date."""
    begin = select(cast(place.day, _DAY).label("day"), cast(place.key, Big).label("key"))
    there = begin.cte("there", recursive=True)
    next_key = (
        select(func.min(records.c.job_key))
        .where(records.c.date == there.c.day, records.c.job_key > there.c.key, records.c.job_key < below)
        .scalar_subquery()
    )
    next_day = (
        select(func.min(records.c.date)).where(records.c.date > there.c.day, records.c.date <= last).scalar_subquery()
    )
    # After a date's last job comes the next date, with no job yet; after the last date, no date.
    day = case((next_key.is_(null()), next_day), else_=there.c.day)
    there = there.union_all(select(day, func.coalesce(next_key, 0)).where(there.c.day.is_not(None)))
    keys: set[int] = set()
    for found_day, key in connection.execute(select(there.c.day, there.c.key).limit(LEAPS_AT_A_TIME + 1)):
        if found_day is None:
            return Step(keys, None, leap=False)
        if key and (found_day, key) != place[:2]:
            keys.add(key)
        at = Place(found_day, key, AFTER_ALL_ROWS if key else 0)
    return Step(keys, at, leap=False)
