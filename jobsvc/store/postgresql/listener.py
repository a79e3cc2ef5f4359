"""Hearing, on PostgreSQL, of what other processes change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

import psycopg

from jobsvc.store.postgresql.backend import conninfo

log = logging.getLogger(__name__)

CHANNEL = "jobsvc_jobs"
"""On this channel a trigger on `jobs` (migration 0003) tells which job's state has changed."""

CHECK_SECONDS = 0.5
"""How often the thread checks whether to end, and calls without a reason while the database is down."""


class Listener:
    """Calls `changed` whenever any process has changed a job's state, or may have.

    One thread, with a connection of its own. Nothing is shared but `_closing`, an Event.
    """

    def __init__(self, url: str, changed: Callable[[], None]) -> None:
        self._conninfo = conninfo(url)
        self._changed = changed
        self._closing = Event()
        self._thread = Thread(target=self._live, name="jobsvc-listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def begin_shut_down(self) -> None:
        """Nobody needs to hear of changes any more. Returns at once."""
        self._closing.set()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the thread to end."""
        self.begin_shut_down()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, min(seconds, 2 * CHECK_SECONDS)))

    def _live(self) -> None:
        while not self._closing.is_set():
            try:
                self._listen()
            except psycopg.Error as error:
                log.warning("not hearing of changes: %s", error)
                # Requests that wait look by themselves meanwhile.
                self._changed()
                self._closing.wait(CHECK_SECONDS)

    def _listen(self) -> None:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute(f"LISTEN {CHANNEL}".encode())
            # What came before this connection was not heard.
            self._changed()
            while not self._closing.is_set():
                for _ in connection.notifies(timeout=CHECK_SECONDS, stop_after=1):
                    self._changed()
