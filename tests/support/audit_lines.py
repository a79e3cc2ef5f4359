"""The audit, as it stands in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from jobsvc.store.database import Database
from jobsvc.store.tables import audit


def lines_of(database: Database, **named: object) -> list[dict[str, Any]]:
    """The lines whose columns have these values, the oldest first."""
    query = select(audit).where(*(audit.c[name] == value for name, value in named.items())).order_by(audit.c.id)
    with database.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]
