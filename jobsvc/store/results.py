"""Queries on what the jobs made: records, teams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, select, tuple_, type_coerce

from jobsvc.store.tables import jobs, records, team_members, teams
from jobsvc.store.types import Json

PAGE_CHARACTERS = 4 * 1024 * 1024
"""About how much one page has at most."""

ROWS_FETCHED = 50
"""How many records the database hands over at once."""


def records_page(
    connection: Connection, *, limit: int, after: tuple[int, int] | None = None, job_id: str | None = None
) -> tuple[Sequence[RowMapping], bool]:
    """Up to `limit` - 1 records in (job key, row) order behind `after`, and whether there may be more.

    Fewer if they are large. Each has job_key, job_id, row, date, data (a list), columns.
    """
    data = type_coerce(records.c.data, Json).label("data")
    query = (
        select(records.c.job_key, records.c.row, records.c.date, data, jobs.c.id.label("job_id"), jobs.c.columns)
        .join(jobs, jobs.c.key == records.c.job_key)
        .order_by(records.c.job_key, records.c.row)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(records.c.job_key, records.c.row) > after)
    if job_id is not None:
        query = query.where(records.c.job_key == select(jobs.c.key).where(jobs.c.id == job_id).scalar_subquery())
    found: list[RowMapping] = []
    characters = 0
    with connection.execution_options(yield_per=ROWS_FETCHED).execute(query) as result:
        for row in result.mappings():
            found.append(row)
            characters += sum(map(len, row["data"]))
            if characters > PAGE_CHARACTERS:
                return found, True
    return found[: limit - 1], len(found) == limit


def teams_page(
    connection: Connection, *, limit: int, after: int | None = None, job_id: str | None = None
) -> list[dict[str, Any]]:
    """Teams in the order of their ids behind `after`: id, job_id, row, name, members."""
    query = (
        select(teams.c.id, jobs.c.id.label("job_id"), teams.c.row, teams.c.name)
        .join(jobs, jobs.c.key == teams.c.job_key)
        .order_by(teams.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(teams.c.id > after)
    if job_id is not None:
        query = query.where(jobs.c.id == job_id)
    found: dict[int, dict[str, Any]] = {
        row["id"]: {**row, "members": []} for row in connection.execute(query).mappings()
    }
    members = (
        select(team_members.c.team_id, team_members.c.name)
        .where(team_members.c.team_id.in_(found))
        .order_by(team_members.c.team_id, team_members.c.position)
    )
    for team_id, name in connection.execute(members):
        found[team_id]["members"].append(name)
    return list(found.values())
