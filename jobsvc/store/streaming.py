"""Reading rows of which each may be large, few at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import CursorResult

ROWS_FETCHED = 8
"""How many rows PostgreSQL hands over at once: each may have a mebibyte or two."""


def streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> CursorResult[*tuple[Any, ...]]:
    """The rows of `query`, to be read one after the other and closed: a context manager."""
    # SQLite hands over one row at a time by itself.
    options = {"yield_per": ROWS_FETCHED} if connection.dialect.name == "postgresql" else {}
    return connection.execute(query, execution_options=options)
