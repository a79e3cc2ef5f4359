"""The thread that writes down when keys and sessions were used last: no request waits for that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event, Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseClosed
from jobsvc.store.queries.callers import key_rows, session_rows

log = logging.getLogger(__name__)

WRITE_SECONDS = 10.0
"""Time between two writes: a key that is used all the time is noted so often; sessions too."""


class KeyUse:
    """What was used since the last write is guarded by a lock, which nobody holds while he writes."""

    def __init__(self, database: Database, now: Callable[[], datetime], *, every: float = WRITE_SECONDS) -> None:
        self._database, self._now, self._every = database, now, every
        self._lock = Lock()
        self._used: dict[str, datetime] = {}
        self._sessions_used: dict[str, datetime] = {}
        self._stopped = Event()
        self._woken = Event()
        self._thread = Thread(target=self._live, name="jobsvc-key-use", daemon=True)

    def note(self, key_id: str) -> None:
        """A key was used just now. Returns at once."""
        with self._lock:
            self._used[key_id] = self._now()
        self._woken.set()

    def note_session(self, digest: str) -> None:
        """A session was used just now. Returns at once."""
        with self._lock:
            self._sessions_used[digest] = self._now()
        self._woken.set()

    def start(self) -> None:
        self._thread.start()

    def begin_shut_down(self) -> None:
        """Write what was noted, and then nothing further. Returns at once."""
        self._stopped.set()
        self._woken.set()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the thread to end."""
        self.begin_shut_down()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def _live(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait()
            self._woken.clear()
            self._try_to_write()
            self._stopped.wait(self._every)
        # What was noted meanwhile.
        self._try_to_write()

    def _try_to_write(self) -> None:
        try:
            self._write()
        except DatabaseClosed:
            pass
        except SQLAlchemyError as error:
            # The next use is noted again; nothing else depends on it.
            log.warning("when keys and sessions were used last could not be noted: %s", error)

    def _write(self) -> None:
        with self._lock:
            used, self._used = self._used, {}
            sessions_used, self._sessions_used = self._sessions_used, {}
        if not used and not sessions_used:
            return
        with self._database.write(reserve=False) as connection:
            for key_id, at in sorted(used.items()):
                key_rows.note_use(connection, key_id, at)
            for digest, at in sorted(sessions_used.items()):
                session_rows.note_use(connection, digest, at)
