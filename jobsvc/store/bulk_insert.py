"""Inserting many rows the fastest way that the database has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

MOST_VARIABLES = 32_766
"""SQLite's limit on bound values in one statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""

STATEMENT_ROWS = (1000, 500, 100, 10, 1)
"""Rows of one statement. Few sizes, so that each is prepared once and stays in the connection's cache."""


def bulk_insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, tuples in the order of `columns`, into `table`.

    A statement with many VALUES runs once, in C and with the interpreter lock
    released, where `executemany` takes and gives that lock for every row.
    """
    start = 0
    for size in STATEMENT_ROWS:
        if size * len(columns) > MOST_VARIABLES:
            continue
        while len(rows) - start >= size:
            part = rows[start : start + size]
            connection.exec_driver_sql(_statement(table, tuple(columns), size), tuple(chain.from_iterable(part)))
            start += size


@cache
def _statement(table: Table, columns: tuple[str, ...], rows: int) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    values = f"({', '.join('?' * len(columns))})"
    # The names are those of tables in the code, never a client's.
    return f'INSERT INTO "{table.name}" ({names}) VALUES {", ".join([values] * rows)}'  # noqa: S608
