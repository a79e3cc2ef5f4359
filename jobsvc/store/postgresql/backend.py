"""PostgreSQL: many writers at a time, on the other side of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from jobsvc.deadlines import BACKGROUND_SECONDS, Deadline, applied, current
from jobsvc.store.commits.at_once import AtOnce, Begin, Committer
from jobsvc.store.errors import Conflict, DatabaseBusy, DatabaseDown, DiskFull, IdleTooLong, NotStorable
from jobsvc.store.postgresql.liveness import see_that_connections_live

POOLED_CONNECTIONS = 10
"""Idle connections that are kept."""

MAX_CONNECTIONS = 40
"""A server allows 100 by default, for everybody together. Beyond it threads wait for each other."""

CONNECT_SECONDS = 5

IDLE_SECONDS = 10.0
"""The server ends a session that says nothing for so long within a transaction: its process is frozen."""

AGAIN_SECONDS = 0.1
"""A statement that took longer may have waited for a lock: the next one may wait that much less."""

MIGRATIONS_LOCK = 7_032_001
"""An advisory lock: its holder applies migrations."""

SUSPECTS_LOCK = 7_032_004
SLOTS_LOCK = 7_032_005
"""Another one: its holder decides whether a job that has crashed may begin."""

USERS_LOCK = 7_032_006
"""With a user's hash: its holder decides by what this user has."""

_CONFLICTS = {"40001", "40P01"}
"""SQLSTATE: serialization_failure, deadlock_detected."""

_BUSY = {"55P03"}
"""SQLSTATE: lock_not_available."""

_DISK_FULL = "53100"
"""SQLSTATE."""

_DOWN = {"57P01", "57P02", "57P03", "57P05", "53300", "25006", "25P03", "25P04"}
"""SQLSTATE: the server shuts down, has crashed, is starting, ends an idle session, has no connection left, is a
standby, ends a session that is idle within a transaction, or whose transaction takes too long."""

_IDLE_TOO_LONG = "25P03"
"""SQLSTATE: idle_in_transaction_session_timeout."""

_IDLE_TEXT = "idle-in-transaction timeout"
"""What a server says in English where the driver has no SQLSTATE any more: its connection is closed by then."""

_DOWN_BY_STATE: dict[str | None, type[DatabaseDown]] = {_DISK_FULL: DiskFull, _IDLE_TOO_LONG: IdleTooLong}

_LIMIT = "jobsvc_limit"

_SET = "SET LOCAL lock_timeout = "

_GOES_BACK = ("ROLLBACK", "RELEASE")


def connect_parameters(url: str, session: str | None = None, idle_seconds: float = IDLE_SECONDS) -> dict[str, Any]:
    """Parameters for libpq beside SQLAlchemy's URL, for every session of the service; `session` is its name.

    No session can hold for ever what others need: the server ends one that is idle
    within a transaction for `idle_seconds`, gives up waiting for a lock, and notices
    a client whose machine has gone. `options` in the URL come last, and so prevail.
    """
    given = make_url(url).query.get("options", "")
    options = {
        "idle_in_transaction_session_timeout": round(idle_seconds * 1000),
        "lock_timeout": round(BACKGROUND_SECONDS * 1000),
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": 20_000,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in options.items())
    return {
        "application_name": session or "jobsvc",
        "connect_timeout": CONNECT_SECONDS,
        # So the process notices within about 20 s that a server has gone without a word.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 20_000,
        "options": " ".join((ours, *((given,) if isinstance(given, str) else given))).strip(),
    }


def conninfo(url: str, session: str | None = None, idle_seconds: float = IDLE_SECONDS) -> str:
    """The same and the URL, as libpq is told."""
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 (who has SQLite does not need it)

    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return make_conninfo(plain, **connect_parameters(url, session, idle_seconds))


class Postgresql:
    """Implements `Backend`.

    Writers run beside each other, in READ COMMITTED transactions. One that
    reads a job in order to change it locks its row with that read (see
    `job_rows`), so that what it read holds until it commits.
    """

    migrates_at_start = False
    has_queue = True

    def __init__(self, url: str, session: str | None = None, idle_seconds: float = IDLE_SECONDS) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=POOLED_CONNECTIONS,
            # Errors end in logs, and parameters are what somebody's file has.
            hide_parameters=True,
            # `_free` is the limit: the pool's own knows no deadlines.
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args=connect_parameters(url, session, idle_seconds),
        )
        self._free = BoundedSemaphore(MAX_CONNECTIONS)
        event.listen(self.engine, "do_connect", _connect)
        see_that_connections_live(self.engine)
        event.listen(self.engine, "begin", _begin)
        event.listen(self.engine, "before_cursor_execute", _before_statement)
        self.reading: Engine = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self.looking: Engine = self.reading
        self.writing: Engine = self.engine.execution_options(isolation_level="READ COMMITTED")

    def turn(self, urgent: Callable[[], bool], deadline: Deadline | None) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def begin(self, engine: Engine, deadline: Deadline | None) -> Iterator[Connection]:
        if not self._free.acquire(timeout=BACKGROUND_SECONDS if deadline is None else deadline.left()):
            raise DatabaseBusy(f"all {MAX_CONNECTIONS} connections of this process are in use")
        with ExitStack() as stack:
            stack.callback(self._free.release)
            with applied(deadline):
                connection = stack.enter_context(engine.begin())
            yield connection

    def contended(self) -> bool:
        return False

    def committer(self, begin: Begin) -> Committer:
        return AtOnce(begin)

    def lock_for_migrations(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATIONS_LOCK})

    def lock_for_suspects(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SUSPECTS_LOCK})

    def lock_for_slots(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SLOTS_LOCK})

    def lock_for_user(self, connection: Connection, user: str) -> None:
        # Two users whose names have the same hash wait for each other, for a moment.
        lock = text("SELECT pg_advisory_xact_lock(:users, hashtext(:user))")
        connection.execute(lock, {"users": USERS_LOCK, "user": user})

    def try_write(self, connection: Connection) -> None:
        # Takes the number of a transaction, which a server that only reads can't give.
        connection.execute(text("SELECT txid_current()"))

    def sizes(self, connection: Connection) -> dict[str, int]:
        # Who may see the log's files is the administrator's to say.
        return {"database": connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()}

    def translated(self, error: SQLAlchemyError) -> Exception | None:
        return translated(error)


def translated(error: SQLAlchemyError) -> Exception | None:
    """DatabaseDown, DatabaseBusy, DiskFull, Conflict or NotStorable, if an error means one of these."""
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    said = str(error.orig).strip()
    # The lines below it give advice to people who set up a database, or quote what was to be written.
    first = said.partition("\n")[0]
    if state in _CONFLICTS:
        return Conflict(first)
    if state in _BUSY:
        return DatabaseBusy("another transaction holds a lock that this one needs")
    lost = type(error.orig).__name__ == "OperationalError" and state is None
    if isinstance(error, DataError):
        return NotStorable(first)
    if error.connection_invalidated or lost or state in {_DISK_FULL, *_DOWN} or (state or "").startswith("08"):
        if _IDLE_TEXT in said:
            state = _IDLE_TOO_LONG
        return _DOWN_BY_STATE.get(state, DatabaseDown)(first)
    return None


def _connect(dialect: Dialect, _entry: ConnectionPoolEntry, arguments: Any, named: dict[str, Any]) -> Any:
    deadline = current()
    if deadline is not None:
        # Whole seconds; libpq takes less than 2 for 2.
        named = {**named, "connect_timeout": min(CONNECT_SECONDS, max(2, math.ceil(deadline.left())))}
    return dialect.connect(*arguments, **named)


class _Limit:
    """The deadline of a transaction, and until when its latest limit for locks is good enough."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.renew_at = 0.0


def _begin(connection: Connection) -> None:
    deadline = current()
    connection.info[_LIMIT] = None if deadline is None else _Limit(deadline)


def _before_statement(
    connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
) -> None:
    """Have the statement wait for locks no longer than its transaction may wait still: PostgreSQL limits each wait."""
    limit: _Limit | None = connection.info.get(_LIMIT)
    if limit is None or statement.startswith(_SET) or monotonic() < limit.renew_at:
        return
    # A ROLLBACK TO waits for nobody, and a failed transaction takes no other statement.
    if statement.startswith(_GOES_BACK):
        return
    # 0 would stand for no limit.
    # Without a cursor on the server, even if the caller's next statement wants one.
    plainly = {"stream_results": False, "yield_per": None}
    connection.exec_driver_sql(f"{_SET}{max(1, round(limit.deadline.left() * 1000))}", execution_options=plainly)
    limit.renew_at = monotonic() + AGAIN_SECONDS
