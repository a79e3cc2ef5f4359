"""Places that each user has so many of, over all processes: whoever takes one has it until its process gives it back.

A place is an advisory lock of PostgreSQL, which belongs to the session that took it. Each process has one session
for all its places. When the process ends, however it does, the server ends the session, and its places are free.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from threading import Lock

import psycopg

from jobsvc.deadlines import BACKGROUND_SECONDS, left
from jobsvc.store.errors import DatabaseBusy, DatabaseDown
from jobsvc.store.postgresql.backend import conninfo

log = logging.getLogger(__name__)

# Asks for one place after the other, and for none after the first that it gets.
TAKE = """
    WITH RECURSIVE asked (number, taken) AS (
        SELECT 0, false
        UNION ALL
        SELECT number + 1, CASE
            WHEN number + 1 = ANY (%(mine)s) THEN false
            ELSE pg_try_advisory_lock(hashtextextended(%(name)s, number + 1)) END
        FROM asked WHERE NOT taken AND number < %(places)s
    )
    SELECT number FROM asked WHERE taken
"""

TAKE_AGAIN = "SELECT pg_try_advisory_lock(hashtextextended(%(name)s, %(number)s))"

GIVE_BACK = "SELECT pg_advisory_unlock(hashtextextended(%(name)s, %(number)s))"


class SessionPlaces:
    """Safe to share among threads. `name` is of what there are places, such as a user's uploads.

    `_guard` guards everything below it. It is held while the server answers, which takes as long as one round trip,
    since a session does one thing at a time; nobody waits for it longer than the deadline of the thread.
    """

    def __init__(self, url: str, session: str | None) -> None:
        """`session` is the name of the process's sessions."""
        self._conninfo = conninfo(url, session)
        self._guard = Lock()
        self._connection: psycopg.Connection | None = None
        self._mine: defaultdict[str, set[int]] = defaultdict(set)
        """By name, the numbers of the places that this process has, from 1 on."""

    def take(self, name: str, places: int) -> int | None:
        """Take a place, if one of so many is free; returns its number. Raises DatabaseDown and DatabaseBusy."""
        self._acquire()
        try:
            try:
                number = self._take(name, places)
            except psycopg.OperationalError:
                # The session may have ended long ago, and this is the first to notice.
                self._forget_session()
                number = self._take(name, places)
            if number is not None:
                self._mine[name].add(number)
            return number
        except psycopg.Error as error:
            self._forget_session()
            raise DatabaseDown(str(error).partition("\n")[0]) from error
        finally:
            self._guard.release()

    def give_back(self, name: str, number: int) -> None:
        """Let others have a place."""
        with self._guard:
            self._mine[name].discard(number)
            if not self._mine[name]:
                del self._mine[name]
            if self._connection is None:
                return
            try:
                self._connection.execute(GIVE_BACK, {"name": name, "number": number})
            except psycopg.Error as error:
                log.warning("a place was not given back, so the session ends with all: %s", error)
                self._forget_session()

    def start(self) -> None:
        """The session begins when the first place is taken."""

    def begin_shut_down(self) -> None:
        """Requests that have places may go on."""

    def shut_down(self, seconds: float) -> None:
        """End the session. Within so many seconds: one whose server does not answer ends with the process."""
        if self._guard.acquire(timeout=max(0.0, seconds)):
            try:
                self._forget_session()
            finally:
                self._guard.release()

    def _acquire(self) -> None:
        time = left()
        if not self._guard.acquire(timeout=BACKGROUND_SECONDS if time is None else time):
            raise DatabaseBusy("the session for places is in use")

    def _take(self, name: str, places: int) -> int | None:
        values = {"name": name, "places": places, "mine": list(self._mine[name]) if name in self._mine else []}
        found = self._session().execute(TAKE, values).fetchone()
        return None if found is None else int(found[0])

    def _session(self) -> psycopg.Connection:
        """The session. A new one takes what this process has, as far as nobody else has taken it meanwhile."""
        if self._connection is None:
            connection = psycopg.connect(self._conninfo, autocommit=True)
            self._connection = connection
            if connection.info.server_version >= 140000:
                connection.execute("SET idle_session_timeout = 0")
            for name, numbers in self._mine.items():
                for number in numbers:
                    connection.execute(TAKE_AGAIN, {"name": name, "number": number})
        return self._connection

    def _forget_session(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
