"""How a database answers a query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, event

from tests.support.environment import Environment


def plan_of(env: Environment, ask: Callable[[Connection], object]) -> list[str]:
    """The plan for the queries that `ask` makes: SQLite's, or PostgreSQL's where it may do without an index."""
    asked: list[tuple[str, Any]] = []
    with env.database.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
        ask(connection)
        queries = tuple(asked)
        if connection.dialect.name == "sqlite":
            explain = "EXPLAIN QUERY PLAN"
        else:
            explain = "EXPLAIN (COSTS OFF)"
            # A test has few rows, which it would rather read from one end to the other.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [
            row[-1]
            for statement, values in queries
            for row in connection.exec_driver_sql(f"{explain} {statement}", values)
        ]
