"""Inserting those rows that are not there yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: dict[str, Callable[[Table], sqlite.Insert | postgresql.Insert]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}

_LOCKS = 7_032_003
"""The first key of these advisory locks; the second stands for the table."""


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, in order; one that would break a unique constraint is left out.

    On PostgreSQL transactions that do this to the same table take turns, each until
    it ends: two that want the same rows in different order would deadlock again and again.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(_LOCKS, func.hashtext(table.fullname))
        connection.execute(select(lock))
    connection.execute(_INSERTS[connection.dialect.name](table).on_conflict_do_nothing(), rows)
