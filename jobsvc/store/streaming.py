"""Reading rows of which each may be large, few at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError

ROWS_FETCHED = 8
"""How many rows the database hands over at once: each may have a mebibyte or two."""


def streamed(connection: Connection, query: Select[*tuple[Any, ...]]) -> CursorResult[*tuple[Any, ...]]:
    """The rows of `query`, to be read one after the other and closed: a context manager."""
    return connection.execute(query, execution_options={"yield_per": ROWS_FETCHED})


@contextmanager
def streamed_fast(
    connection: Connection, query: Select[*tuple[Any, ...]]
) -> Iterator[Iterator[tuple[Any, ...]] | CursorResult[*tuple[Any, ...]]]:
    """The same for the block's length, where there are very many. On SQLite its columns come as the driver has them."""
    if connection.dialect.name != "sqlite":
        with streamed(connection, query) as rows:
            yield rows
        return
    with connection.execute(query) as result:
        assert isinstance(result.cursor, sqlite3.Cursor)
        try:
            # It reads one row at a time, and makes nothing but the tuple.
            yield result.cursor
        except sqlite3.Error as error:
            # As SQLAlchemy does it for what goes through its own cursors.
            raise DBAPIError.instance(str(query), None, error, sqlite3.Error, dialect=connection.dialect) from error
