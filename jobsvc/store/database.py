"""Connections and transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, event, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import ConnectionPoolEntry

from jobsvc.store.write_turn import WriteTurn

POOLED_CONNECTIONS = 4
"""Idle connections that are kept; further ones are opened when needed and closed after use."""

STATEMENTS_CACHED = 64
"""Prepared statements each connection keeps; the long ones of bulk inserts must stay among them."""

BUSY_SECONDS = 30.0
"""How long SQLite waits for another process, such as a backup, that holds its lock."""


class DatabaseClosed(Exception):
    """The process is ending, and writes no more."""


class Database:
    """The database at `url`. Safe to share among threads."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url,
            pool_size=POOLED_CONNECTIONS,
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args={"timeout": BUSY_SECONDS, "cached_statements": STATEMENTS_CACHED},
        )
        event.listen(self._engine, "connect", _prepare)
        event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(jobsvc_writes=True)
        self._turn = WriteTurn()
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a read transaction: one consistent view of what is committed."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self, *, urgent: bool = False, urgent_when: Callable[[], bool] | None = None) -> Iterator[Connection]:
        """A connection in a write transaction: commits at the end, rolls back on an exception.

        Those that are `urgent`, or are so by `urgent_when` while they wait, go ahead
        of those that are not. Keep the block short and free of everything but
        database work: all other writers wait for it. Raises DatabaseClosed.
        """
        with self._turn.held(urgent_when or (lambda: urgent)):
            if self._closed:
                raise DatabaseClosed
            with self._writing.begin() as connection:
                yield connection

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection that writes, outside of the turn: for migrations, before anything runs."""
        with self._writing.connect() as connection:
            yield connection

    def fault(self) -> str | None:
        """What is wrong with the database; None if it answers."""
        try:
            with self.read() as connection:
                connection.execute(select(1))
        except DatabaseError as error:
            return f"the database does not answer: {error.orig}"
        return None

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits to write at this moment."""
        return self._turn.is_wanted

    def close(self) -> None:
        """Write nothing from now on: another process may, any moment. Closes the connections that are not in use."""
        self._closed = True
        self._engine.dispose()


def _prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling is off; `_begin` begins them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("jobsvc_writes", False)
    # A transaction that begins with a read and then writes can fail at once when
    # somebody else has written in between; IMMEDIATE takes the lock first.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
