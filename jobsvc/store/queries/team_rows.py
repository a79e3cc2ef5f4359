"""Queries on `teams` and `team_members`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, LargeBinary, RowMapping, cast, func, select

from jobsvc.store.queries.job_rows import of_owner
from jobsvc.store.queries.record_rows import PAGE_BYTES
from jobsvc.store.tables import jobs, team_members, teams


def page(
    connection: Connection,
    *,
    limit: int,
    after: int | None = None,
    job_id: str | None = None,
    owner: str | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """Up to `limit` teams after `after`, in the order of their ids, and whether there may be more.

    Fewer if they have many members; with an `owner`, those of this user's jobs.
    Each has id, job_id, row, name, members.
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
    query = query.where(*of_owner(owner))
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
    """The first of these teams: as many as fit into a page with their members, at least one."""
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
