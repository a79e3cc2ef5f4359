"""What time it is for all processes that share a database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, func, select


def read(connection: Connection, own: Callable[[], datetime]) -> datetime:
    """The time, as of the start of the transaction, by the clock of PostgreSQL's machine.

    SQLite has no machine of its own: its only process asks its `own` clock.
    """
    if connection.dialect.name != "postgresql":
        return own()
    return connection.execute(select(func.now())).scalar_one()
