"""How a database answers a query."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, event

from tests.support.environment import Environment


def plan_of(env: Environment, ask: Callable[[Connection], object]) -> list[str]:
    """SQLite's plan for the one query that `ask` makes."""
    asked = []
    with env.database.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
        ask(connection)
        ((statement, values),) = asked
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row[-1] for row in plan]
