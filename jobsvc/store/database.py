"""Connections and transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from sqlalchemy import Connection, make_url, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from jobsvc.deadlines import Deadline, current
from jobsvc.store.backend import Backend
from jobsvc.store.commits.at_once import T, Write
from jobsvc.store.disk.room import Room
from jobsvc.store.errors import DatabaseClosed, DatabaseDown, DiskFull
from jobsvc.store.postgresql.backend import IDLE_SECONDS, Postgresql
from jobsvc.store.sqlite.backend import Sqlite


class Database:
    """The database at `url`. Safe to share among threads.

    Everything here raises DatabaseDown if it can't be reached, DatabaseBusy if others
    held what is needed for too long, DiskFull if there is no room, `write` Conflict if
    two transactions stood in each other's way, NotStorable for a value that PostgreSQL can't hold.

    A transaction waits for others `within` so many seconds in all. If that isn't
    given, for what is left of the thread's `time_limit`; if there is none either, for
    its turn as long as it takes, and for anything else a time of the backend's own.
    """

    def __init__(
        self,
        url: str,
        session: str | None = None,
        idle_seconds: float = IDLE_SECONDS,
        room: Room | None = None,
    ) -> None:
        """`session` is what PostgreSQL's administrator sees its connections called.

        PostgreSQL ends a session that says nothing for `idle_seconds` within a transaction.
        `room` is told of writes that fail for want of it.
        """
        self._room = room or Room()
        self.backend: Backend = Postgresql(url, session, idle_seconds) if is_postgresql(url) else Sqlite(url)
        self._url = url
        self._looking = self.backend.looking
        self._reading = self.backend.reading
        self._writing = self.backend.writing
        self._committer = self.backend.committer(lambda urgent: self.write(urgent_when=urgent))
        self._closed = False

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A connection for one statement that reads: the same as `read`, at less cost. Two may see two moments."""
        with self._translating(), self.backend.begin(self._looking, current()) as connection:
            yield connection

    @contextmanager
    def read(self, *, within: float | None = None) -> Iterator[Connection]:
        """A connection in a read transaction: one consistent view of what is committed."""
        deadline = current() if within is None else Deadline(within)
        with self._translating(), self.backend.begin(self._reading, deadline) as connection:
            yield connection

    @contextmanager
    def write(
        self,
        *,
        urgent: bool = False,
        urgent_when: Callable[[], bool] | None = None,
        within: float | None = None,
        reserve: bool | None = None,
    ) -> Iterator[Connection]:
        """A connection in a write transaction: commits at the end, rolls back on an exception.

        Those that are `urgent`, or are so by `urgent_when` while they wait, go ahead
        of those that are not. Keep the block short and free of everything but
        database work: on SQLite all other writers wait for it. Raises DatabaseClosed.

        On a full disk it may use the `reserve`; if that isn't said, if it is urgent.
        """
        deadline = current() if within is None else Deadline(within)
        spare = urgent if reserve is None else reserve
        if spare:
            self._room.before_urgent()
        with self.backend.turn(urgent_when or (lambda: urgent), deadline):
            if self._closed:
                raise DatabaseClosed
            try:
                with self._translating(), self.backend.begin(self._writing, deadline) as connection:
                    yield connection
            except DiskFull:
                self._room.note_full(urgent=spare)
                raise

    def submit(self, write: Write[T], urgent: Callable[[], bool]) -> Future[T]:
        """Have `write` write in a transaction that others may share: see `Committer`."""

        def translated(connection: Connection, hurry: Callable[[], bool]) -> T:
            # Of several that share a transaction, one may fail by itself.
            with self._translating():
                return write(connection, hurry)

        return self._committer.submit(translated, urgent)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection that writes, outside of the turn: for migrations, before anything runs."""
        with self._translating(), self._writing.connect() as connection:
            yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            translated = self.backend.translated(error)
            if translated is None:
                raise
            raise translated from error

    def fault(self) -> str | None:
        """What is wrong with the database; None if it answers."""
        try:
            with self.read() as connection:
                connection.execute(select(1))
        except DatabaseDown as error:
            return f"the database does not answer: {error}"
        except DatabaseError as error:
            return f"the database does not answer: {error.orig}"
        return None

    def write_fault(self) -> str | None:
        """What is wrong with the database for a writer; None if it takes a write."""
        try:
            with self.write(urgent=True, reserve=False) as connection:
                self.backend.try_write(connection)
        except DatabaseDown as error:
            return f"the database can't be written: {error}"
        except DatabaseError as error:
            return f"the database can't be written: {error.orig}"
        return None

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits to write at this moment."""
        return self.backend.contended()

    @property
    def shown(self) -> str:
        """Where it is, for people to read: without the password."""
        return shown(self._url)

    def close(self) -> None:
        """Write nothing from now on: another process may, any moment. Closes the connections that are not in use."""
        self._closed = True
        self._committer.close()
        self.backend.engine.dispose()


def is_postgresql(url: str) -> bool:
    return make_url(url).get_backend_name() == "postgresql"


def shown(url: str) -> str:
    """A database's URL, for people to read: without the password, also if that stands in the query."""
    parsed = make_url(url)
    hidden = {name: "..." for name in parsed.query if "password" in name}
    return parsed.update_query_dict(hidden).render_as_string(hide_password=True)
