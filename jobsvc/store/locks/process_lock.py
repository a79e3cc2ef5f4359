"""Who runs the jobs in a PostgreSQL database: one process by itself, or the processes of a fleet."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, NullPool, Row, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.store.errors import DatabaseInUse
from jobsvc.store.postgresql.backend import connect_parameters, translated

log = logging.getLogger(__name__)

LOCK = 7_032_002
"""The advisory lock, a number of 32 bits. The engine `threads` holds it alone, the processes of a fleet share it."""

RETRY_SECONDS = 0.05

OWN_SECONDS = 2.0
"""How long the server may take to hear that this process has closed the connection which held the lock."""

CHECK_SECONDS = 2.0
"""How often to check the connection that holds the lock."""

KEPT_SESSIONS = 10
"""How many of its own sessions a process remembers; the server gives up one that has gone within half a minute."""

MAX_NAME_BYTES = 63
"""PostgreSQL keeps no more characters of an application's name."""

_HOLDER = text(
    """
    SELECT activity.application_name, activity.backend_start, activity.pid, activity.pid IS NULL AS ended
    FROM pg_locks AS held LEFT JOIN pg_stat_activity AS activity USING (pid)
    WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND held.classid = 0 AND held.objid::bigint = :lock AND (held.mode = 'ExclusiveLock' OR NOT :shared)
    """
)

_SESSION = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
"""No two sessions have the same number and beginning."""

ANOTHER = "another process"
"""A holder that does not say who it is."""


class ProcessLock:
    """An advisory lock of PostgreSQL, held on a connection of its own until `release` or the end of the process.

    The server lets go of it when that connection breaks, whatever breaks it. Then it is
    taken again as soon as possible; see `watch`. A pooler that shares connections among
    transactions (PgBouncer's transaction mode) can't hold it.
    """

    def __init__(self, url: str, *, shared: bool = False) -> None:
        self._try = text(f"SELECT pg_try_advisory_lock{'_shared' if shared else ''}(:lock)")
        self._shared = shared
        self._host = socket.gethostname()
        self._me = f"process {os.getpid()} on {self._host},"
        """How this process is described as the holder."""
        name = f"jobsvc {os.getpid()} {os.getppid()} {self._host}".encode()[:MAX_NAME_BYTES].decode(errors="ignore")
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=connect_parameters(url, name),
        )
        self._connection: Connection | None = None
        self._sessions: list[tuple[int, datetime]] = []
        """Those that this process has begun, the latest last: the server may think of each that it is there."""
        self._released = Event()
        self._watcher: Thread | None = None

    def acquire(self, handover_seconds: float) -> None:
        """Take the lock. Raises DatabaseInUse if another process has it, DatabaseDown.

        With `handover_seconds` above 0 this process is a server's worker. If the
        holder is a child of the same parent, it is most likely the worker that this one
        replaces in a reload: wait up to that long for its end. What this process itself has just let go of,
        the server may have yet to hear of: that is waited for, too. A holder that is gone when one looks for it
        is in nobody's way.
        """
        begun = monotonic()
        try:
            self._connection = self._engine.connect()
            self._note_session(self._connection)
            while not self._try_lock():
                holder = self._holder()
                who, sibling = holder or (ANOTHER, True)
                goes = holder is None or who.startswith(self._me)
                seconds = max(handover_seconds, OWN_SECONDS) if goes else handover_seconds
                if not (sibling and monotonic() < begun + seconds):
                    raise DatabaseInUse(self._explain(who))
                sleep(RETRY_SECONDS)
        except SQLAlchemyError as error:
            self.release()
            raise translated(error) or error from error
        except BaseException:
            self.release()
            raise

    def holder(self) -> str | None:
        """The process that has the lock at this moment, in words, without taking it. Raises DatabaseDown."""
        try:
            with self._engine.connect() as connection:
                found = connection.execute(_HOLDER, {"lock": LOCK, "shared": False}).first()
        except SQLAlchemyError as error:
            raise translated(error) or error from error
        return None if found is None else _described(found)[0]

    def watch(self, taken_over: Callable[[], None]) -> None:
        """Keep the lock from now on; `taken_over` is called if its connection broke and another process was first.

        For as long as the server has not heard that the connection broke, nobody else can have it: that is waited for.
        """
        self._watcher = Thread(target=self._watch, args=(taken_over,), name="jobsvc-process-lock", daemon=True)
        self._watcher.start()

    def release(self) -> None:
        """Let the next process have the database. Harmless if the lock isn't held."""
        self._released.set()
        if self._watcher is not None:
            self._watcher.join(CHECK_SECONDS)
        if self._connection is not None:
            # The watcher leaves it closed while the database is away.
            if not self._connection.closed:
                self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _watch(self, taken_over: Callable[[], None]) -> None:
        while not self._released.wait(CHECK_SECONDS):
            try:
                if self._is_held():
                    continue
                assert self._connection is not None
                self._connection.close()
                self._connection = self._engine.connect()
                with ExitStack() as stack:
                    # Whatever comes in between, a connection that stays open has the lock.
                    stack.callback(self._connection.close)
                    self._note_session(self._connection)
                    if (stranger := self._first_stranger()) is not None:
                        log.critical("%s", self._explain(stranger))
                        taken_over()
                        return
                    if not self._released.is_set():
                        stack.pop_all()
                        log.warning(
                            "the connection that says that this process runs the jobs was lost, and is there again"
                        )
            except SQLAlchemyError as error:
                log.warning("the database does not answer: %s", getattr(error, "orig", error))

    def _first_stranger(self) -> str | None:
        """Take the lock again, in a new session; returns who was first, in words. None also where it is released."""
        while not self._released.is_set() and not self._try_lock():
            found = self._found()
            if found is not None and (found.pid, found.backend_start) not in self._sessions:
                return _described(found)[0]
            self._released.wait(RETRY_SECONDS)
        return None

    def _note_session(self, connection: Connection) -> None:
        """Note which session is this process's, before it can have the lock."""
        pid, begun_at = connection.execute(_SESSION).one()
        self._sessions.append((pid, begun_at))
        del self._sessions[:-KEPT_SESSIONS]

    def _is_held(self) -> bool:
        assert self._connection is not None
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def _try_lock(self) -> bool:
        assert self._connection is not None
        taken: bool = self._connection.execute(self._try, {"lock": LOCK}).scalar_one()
        return taken

    def _holder(self) -> tuple[str, bool] | None:
        """Who has the lock, in words, and whether it is a child of the same parent; None: nobody has it any more."""
        found = self._found()
        if found is None:
            return None
        who, parent, host = _described(found)
        return who, parent == os.getppid() and bool(host) and self._host.startswith(host)

    def _found(self) -> Row[Any] | None:
        """The session that has the lock; None: it has ended."""
        assert self._connection is not None
        found = self._connection.execute(_HOLDER, {"lock": LOCK, "shared": self._shared}).first()
        return None if found is None or found.ended else found

    def _explain(self, who: str) -> str:
        if self._shared:
            return (
                f"the jobs in the database are run by {who}, with JOBSVC_ENGINE=threads. "
                "Start that one with JOBSVC_ENGINE=fleet too, or give this one a database of its own with DATABASE_URL"
            )
        return (
            f"the jobs in the database are run by {who}. With JOBSVC_ENGINE=threads one process does that: "
            "stop the other one (under gunicorn: --workers 1 and more --threads), give this one a database of its own "
            "with DATABASE_URL, or use JOBSVC_ENGINE=fleet for several processes"
        )


def _described(found: Row[Any]) -> tuple[str, int | None, str]:
    """The holder in words, its parent and its host, by the name that it has given its connection."""
    named = re.fullmatch(r"jobsvc (\d+) (\d+) (.+)", found.application_name or "")
    if named is None:
        return ANOTHER, None, ""
    pid, parent, host = named.groups()
    return f"process {pid} on {host}, since {found.backend_start:%Y-%m-%d %H:%M:%S %Z}", int(parent), host
