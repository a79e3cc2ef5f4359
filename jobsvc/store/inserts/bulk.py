"""Inserting many rows the fastest way that the database has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, count
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from jobsvc.store.inserts.columns import Columns, Same, Shape

MAX_VARIABLES = 32_766
"""SQLite's limit on bound values in one statement (SQLITE_MAX_VARIABLE_NUMBER since 3.32)."""

STATEMENT_ROWS = (4000, 1000, 500, 100, 10, 1)
"""Rows of one statement. Few sizes, so that each is prepared once and stays in the connection's cache."""


def bulk_insert(connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, tuples in the order of `columns`, into `table`. `Columns` cost the least.

    The values go to the driver as they are: dates as the database's driver takes
    them, JSON as text.
    """
    if rows:
        _WAYS[connection.dialect.name](connection, table, tuple(columns), rows)


def _insert_values(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """A statement with many VALUES runs once, in C and with the interpreter lock
    released, where `executemany` takes and gives that lock for every row.
    """
    start = 0
    for size in STATEMENT_ROWS:
        if size * len(columns) > MAX_VARIABLES:
            continue
        while len(rows) - start >= size:
            part = rows[start : start + size]
            statement = _statement(table, columns, size, part.shape if isinstance(part, Columns) else None)
            values = part.values if isinstance(part, Columns) else chain.from_iterable(part)
            connection.exec_driver_sql(statement, tuple(values))
            start += size


def _copy(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """COPY: one round trip, whatever the number of rows. It runs in the transaction that the connection is in."""
    import psycopg  # noqa: PLC0415 (who has SQLite does not need it)

    # The names are those of tables in the code, never a client's.
    statement = f"COPY {_quoted(connection, table)} ({_names(columns)}) FROM STDIN"
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # As SQLAlchemy does it for what goes through its own cursors.
        lost = raw.closed or raw.broken
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error


_WAYS = {"sqlite": _insert_values, "postgresql": _copy}


def _quoted(connection: Connection, table: Table) -> str:
    return connection.dialect.identifier_preparer.format_table(table)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


@cache
def _statement(table: Table, columns: tuple[str, ...], rows: int, shape: Shape | None = None) -> str:
    """`shape` is that of `Columns`: the statement takes their `values`. Else it takes those of row after row."""
    row = f"({', '.join('?' * len(columns))})"
    values = [row] * rows if shape is None else [f"({', '.join(_of_row(shape, at))})" for at in range(rows)]
    # The names are those of tables in the code, never a client's.
    return f'INSERT INTO "{table.name}" ({_names(columns)}) VALUES {", ".join(values)}'  # noqa: S608


def _of_row(shape: Shape, row: int) -> Iterator[str]:
    """What the statement has for the columns of a row. A `?` without a number is the one after the highest before it:
    SQLite looks for each that has one, among all that have one."""
    once, one_of_row = count(1), count(len(shape) - shape.count(list) + 1)
    for kind in shape:
        if kind is list:
            yield "?" if row else f"?{next(one_of_row)}"
        else:
            yield f"?{next(once)}" if kind is Same else f"?{next(once)} + {row}"
