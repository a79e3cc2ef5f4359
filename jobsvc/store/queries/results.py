"""Queries on what the jobs made: records, teams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, LargeBinary, Row, RowMapping, cast, func, select, tuple_

from jobsvc.store.streaming import streamed
from jobsvc.store.tables import jobs, records, team_members, teams

PAGE_BYTES = 1024 * 1024
"""About how much one page has at most."""


def records_page(
    connection: Connection, *, limit: int, after: tuple[int, int] | None = None, job_id: str | None = None
) -> tuple[Sequence[Row[Any]], bool]:
    """Up to `limit` records in (job key, row) order behind `after`, and whether there may be more.

    Fewer if they are large. Each has job_key, row, date, and data, which is JSON text.
    """
    query = (
        select(records.c.job_key, records.c.row, records.c.date, records.c.data)
        .order_by(records.c.job_key, records.c.row)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(tuple_(records.c.job_key, records.c.row) > after)
    if job_id is not None:
        query = query.where(records.c.job_key == select(jobs.c.key).where(jobs.c.id == job_id).scalar_subquery())
    found: list[Row[Any]] = []
    characters = 0
    with streamed(connection, query) as result:
        for row in result:
            if len(found) == limit or characters > PAGE_BYTES:
                return found, True
            found.append(row)
            characters += len(row.data)
    return found, False


def teams_page(
    connection: Connection, *, limit: int, after: int | None = None, job_id: str | None = None
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` teams in the order of their ids behind `after`, and whether there may be more.

    Fewer if they have many members. Each has id, job_id, row, name, members.
    """
    query = (
        select(teams.c.id, jobs.c.id.label("job_id"), teams.c.row, teams.c.name)
        .join(jobs, jobs.c.key == teams.c.job_key)
        .order_by(teams.c.id)
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(teams.c.id > after)
    if job_id is not None:
        query = query.where(jobs.c.id == job_id)
    rows = connection.execute(query).mappings().all()
    some = _as_many_as_fit(connection, rows[:limit])
    found: dict[int, dict[str, Any]] = {row["id"]: {**row, "members": []} for row in some}
    members = (
        select(team_members.c.team_id, team_members.c.name)
        .where(team_members.c.team_id.in_(found))
        .order_by(team_members.c.team_id, team_members.c.position)
    )
    for team_id, name in connection.execute(members):
        found[team_id]["members"].append(name)
    return list(found.values()), len(found) < len(rows)


MEMBER_BYTES = 60
"""What a member takes in memory beside its name."""


def _as_many_as_fit(connection: Connection, rows: Sequence[RowMapping]) -> Sequence[RowMapping]:
    """The first of these teams, as many as make up a page with their members; one at least."""
    length = func.octet_length(team_members.c.name)
    if connection.dialect.name == "sqlite":
        # Older ones have no octet_length.
        length = func.length(cast(team_members.c.name, LargeBinary))
    sizes = (
        select(team_members.c.team_id, func.sum(length + MEMBER_BYTES))
        .where(team_members.c.team_id.in_([row["id"] for row in rows]))
        .group_by(team_members.c.team_id)
    )
    members = {team_id: int(size) for team_id, size in connection.execute(sizes)}
    total = 0
    for number, row in enumerate(rows):
        if total > PAGE_BYTES:
            return rows[:number]
        total += len(row["name"]) + members.get(row["id"], 0)
    return rows
