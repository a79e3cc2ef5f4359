"""SQLite: one file, one writer at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from jobsvc.store.write_turn import WriteTurn

POOLED_CONNECTIONS = 4
"""Idle connections that are kept; further ones are opened when needed and closed after use."""

STATEMENTS_CACHED = 64
"""Prepared statements each connection keeps; the long ones of bulk inserts must stay among them."""

BUSY_SECONDS = 30.0
"""How long SQLite waits for another process, such as a backup, that holds its lock."""


class Sqlite:
    """Implements `Backend`."""

    migrates_at_start = True
    has_queue = False

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=POOLED_CONNECTIONS,
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args={"timeout": BUSY_SECONDS, "cached_statements": STATEMENTS_CACHED},
        )
        event.listen(self.engine, "connect", _prepare)
        event.listen(self.engine, "begin", _begin)
        self.reading: Engine = self.engine
        self.writing: Engine = self.engine.execution_options(jobsvc_writes=True)
        self._turn = WriteTurn()

    def turn(self, urgent: Callable[[], bool]) -> AbstractContextManager[None]:
        return self._turn.held(urgent)

    def contended(self) -> bool:
        return self._turn.is_wanted

    def lock_for_migrations(self, connection: Connection) -> None:
        """A write transaction has the database to itself."""

    def translated(self, error: SQLAlchemyError) -> Exception | None:
        return None


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
