"""SQLite: one file, one writer at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from jobsvc.deadlines import Deadline, applied, current
from jobsvc.store.commits.at_once import Begin, Committer
from jobsvc.store.commits.group_commit import GroupCommit
from jobsvc.store.sqlite import busy_timeout
from jobsvc.store.sqlite.errors import end_broken_transactions, translated
from jobsvc.store.sqlite.log import KEPT_BYTES, BoundedLog
from jobsvc.store.sqlite.read_gate import ReadGate
from jobsvc.store.sqlite.write_turn import WriteTurn

POOLED_CONNECTIONS = 4
"""Idle connections that are kept; further ones are opened when needed and closed after use."""

PAGE_BYTES = 16 * 1024

CACHE_KIB = 1024
"""Pages that each connection keeps, half of SQLite's own: there are some connections, and the system keeps pages."""

DIRTY_PAGES = 512
"""Pages that a transaction may have changed before they are written ahead of its commit, 8 MiB. One that is changed
again afterwards is written twice. They are given back at the end."""

STATEMENTS_CACHED = 64
"""Prepared statements each connection keeps; the long ones of bulk inserts must stay among them."""

LOCK_SECONDS = 4.75
"""How long a transaction without a deadline waits for another process, such as a backup, that holds SQLite's lock.

That is as long as those of a request with the usual deadline: a connection is told how long only where that is new."""

LOCK_STEP_SECONDS = 0.25
"""What is left of a deadline counts in steps of that, for the same reason; the last step as it is."""


class Sqlite:
    """Implements `Backend`."""

    migrates_at_start = True
    has_queue = False

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=POOLED_CONNECTIONS,
            # Errors end in logs, and parameters are what somebody's file has.
            hide_parameters=True,
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args={"cached_statements": STATEMENTS_CACHED},
        )
        event.listen(self.engine, "do_connect", _connect)
        event.listen(self.engine, "connect", _prepare)
        end_broken_transactions(self.engine)
        event.listen(self.engine, "begin", _begin)
        self.looking: Engine = self.engine.execution_options(jobsvc_begin=None)
        self.reading: Engine = self.engine
        # A transaction that begins with a read and then writes can fail at once when
        # somebody else has written in between; IMMEDIATE takes the lock first.
        self.writing: Engine = self.engine.execution_options(jobsvc_begin="BEGIN IMMEDIATE")
        self._turn = WriteTurn()
        self._gate = ReadGate()
        self._log = BoundedLog(self.engine, Path(make_url(url).database or "").resolve(), self._gate)

    @contextmanager
    def turn(self, urgent: Callable[[], bool], deadline: Deadline | None) -> Iterator[None]:
        with self._turn.held(urgent, None if deadline is None else deadline.left()):
            yield
            self._log.keep_short(urgent)

    @contextmanager
    def begin(self, engine: Engine, deadline: Deadline | None) -> Iterator[Connection]:
        with ExitStack() as stack:
            if engine is not self.writing:
                stack.enter_context(self._gate.reading(deadline))
            with applied(deadline):
                connection = stack.enter_context(engine.begin())
            yield connection

    def contended(self) -> bool:
        return self._turn.is_wanted

    def committer(self, begin: Begin) -> Committer:
        return GroupCommit(begin, self._turn.is_wanted_urgently)

    def lock_for_migrations(self, connection: Connection) -> None:
        """A write transaction has the database to itself."""

    def lock_for_suspects(self, connection: Connection) -> None:
        """The same."""

    def lock_for_slots(self, connection: Connection) -> None:
        """The same."""

    def lock_for_user(self, connection: Connection, user: str) -> None:
        """The same."""

    def try_write(self, connection: Connection) -> None:
        # SQLite keeps this number for its user. It must change: a value that stays the same is not written.
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        connection.exec_driver_sql(f"PRAGMA user_version={0 if version else 1}")

    def sizes(self, connection: Connection) -> dict[str, int]:
        pages, page = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
        )
        return {"database": pages * page, "log": self._log.size()}

    def translated(self, error: SQLAlchemyError) -> Exception | None:
        return translated(error)


def _lock_seconds() -> float:
    """Seconds that the transaction which is begun may wait for SQLite's lock."""
    deadline = current()
    if deadline is None:
        return LOCK_SECONDS
    left = deadline.left()
    return left // LOCK_STEP_SECONDS * LOCK_STEP_SECONDS or left


def _connect(dialect: Dialect, _entry: ConnectionPoolEntry, arguments: Any, named: dict[str, Any]) -> Any:
    # Its first statements wait for the lock too; `named` is shared by all connections.
    return dialect.connect(*arguments, **named, timeout=_lock_seconds())


def _prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling is off; `_begin` begins them.
    connection.isolation_level = None
    # We never write bytes that are no UTF-8. If somebody else did, a list must go on beyond that row.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    cursor = connection.cursor()
    # For a database that is made now. Rows of CSVs are many and small, and large pages are fewer to write.
    cursor.execute(f"PRAGMA page_size={PAGE_BYTES}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    cursor.execute(f"PRAGMA cache_spill={DIRTY_PAGES}")
    cursor.execute(f"PRAGMA journal_size_limit={KEPT_BYTES}")
    # SQLite's own default. Debian's writes zeros over each row that is removed, which takes a fifth of a rollback.
    cursor.execute("PRAGMA secure_delete=OFF")
    cursor.close()


def _begin(connection: Connection) -> None:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    busy_timeout.tell(driver, connection.info, round(_lock_seconds() * 1000))
    statement = connection.get_execution_options().get("jobsvc_begin", "BEGIN")
    if statement is not None:
        connection.exec_driver_sql(statement)
