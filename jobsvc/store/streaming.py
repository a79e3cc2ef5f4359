"""Reading rows of which each may be large, few at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import CursorResult

ROWS_FETCHED = 8
"""How many rows the database hands over at once: each may have a mebibyte or two."""


def streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> CursorResult[*tuple[Any, ...]]:
    """The rows of `query`, to be read one after the other and closed: a context manager."""
    return connection.execute(query, execution_options={"yield_per": ROWS_FETCHED})
