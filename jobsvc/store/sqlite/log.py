"""The write-ahead log of SQLite, kept from growing without bound.

SQLite begins its log again from the front once all of it has been copied into
the database and nobody reads from it. Reads that overlap, each of them short, can
keep that from ever happening: the log then grows with everything that is written.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.store.sqlite import busy_timeout
from jobsvc.store.sqlite.read_gate import ReadGate

log = logging.getLogger(__name__)

MAX_BYTES = 64 * 1024 * 1024
"""A log that is longer than this after a commit is cut."""

KEPT_BYTES = 16 * 1024 * 1024
"""How much of its file SQLite keeps when it begins again by itself."""

GATE_SECONDS = 0.5
"""How long new readers are kept waiting at most for those before them to leave. Ours read for milliseconds."""

RETRY_SECONDS = 10.0
"""How long to leave the log alone after a reader did not leave: another process, or a kind that reads for long."""


class BoundedLog:
    """Used by the thread that has the turn to write, which guards it."""

    def __init__(self, engine: Engine, database: Path, gate: ReadGate) -> None:
        self._engine = engine
        self._path = database.with_name(f"{database.name}-wal")
        self._gate = gate
        self._not_before = 0.0

    def keep_short(self, urgent: Callable[[], bool]) -> None:
        """Give the log back if it is too long. Somebody who is in a hurry leaves that to the next, up to a point."""
        size = self.size()
        if size <= MAX_BYTES or monotonic() < self._not_before or (size <= 2 * MAX_BYTES and urgent()):
            return
        if not self._truncated():
            log.warning("the database's log has %d MiB: somebody else is reading", size >> 20)
            self._not_before = monotonic() + RETRY_SECONDS

    def size(self) -> int:
        """How many bytes it has on the disk; for any thread."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _truncated(self) -> bool:
        try:
            connection = self._engine.raw_connection()
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.warning("the database's log could not be given back: %s", error)
            return False
        try:
            driver = connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            # SQLite must not wait here, since it knows none of our deadlines: if another process holds the lock, try
            # again later.
            busy_timeout.tell(driver, connection.info, 0)
            # What is copied while others read need not be copied while they wait.
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            with self._gate.shut(GATE_SECONDS) as alone:
                return alone and driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        except sqlite3.Error as error:
            # The commit before it stands.
            log.warning("the database's log could not be given back: %s", error)
            return False
        finally:
            connection.close()
