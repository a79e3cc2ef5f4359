"""PostgreSQL: many writers at a time, on the other side of a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobsvc.store.errors import Conflict, DatabaseDown, NotStorable

POOLED_CONNECTIONS = 10
"""Idle connections that are kept."""

MOST_CONNECTIONS = 40
"""A server allows 100 by default, for everybody together. Beyond it threads wait for each other."""

WAIT_SECONDS = 20.0
"""How long a thread waits for one of them."""

CONNECT = {
    "application_name": "jobsvc",
    "connect_timeout": 5,
    # A server that has gone without a word is noticed within about 20 s.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""Parameters of libpq."""

MIGRATIONS_LOCK = 7_032_001
"""An advisory lock: whoever holds it applies migrations."""

_CONFLICTS = {"40001", "40P01"}
"""SQLSTATE: serialization_failure, deadlock_detected."""

_DOWN = {"57P01", "57P02", "57P03", "53300", "25006"}
"""SQLSTATE: the server shuts down, has crashed, is starting, has no connection left, is a standby."""


def conninfo(url: str, session: str | None = None, options: str = "") -> str:
    """What libpq is to be told for SQLAlchemy's URL, with `CONNECT`, and `options` for the server beside its own."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    more = {name: str(value) for name, value in CONNECT.items()}
    if session is not None:
        more["application_name"] = session
    if options:
        more["options"] = f"{conninfo_to_dict(plain).get('options') or ''} {options}".strip()
    return make_conninfo(plain, **more)


class Postgresql:
    """Implements `Backend`.

    Writers run beside each other, in READ COMMITTED transactions. One that
    reads a job in order to change it locks its row with that read (see
    `job_rows`), so that what it read holds until it commits.
    """

    migrates_at_start = False
    has_queue = True

    def __init__(self, url: str, session: str | None = None) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=POOLED_CONNECTIONS,
            max_overflow=MOST_CONNECTIONS - POOLED_CONNECTIONS,
            pool_timeout=WAIT_SECONDS,
            pool_use_lifo=True,
            pool_pre_ping=True,
            connect_args=CONNECT | ({"application_name": session} if session else {}),
        )
        self.reading: Engine = self.engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
        self.writing: Engine = self.engine.execution_options(isolation_level="READ COMMITTED")

    def turn(self, urgent: Callable[[], bool]) -> AbstractContextManager[None]:
        return nullcontext()

    def contended(self) -> bool:
        return False

    def lock_for_migrations(self, connection: Connection) -> None:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATIONS_LOCK})

    def translated(self, error: SQLAlchemyError) -> Exception | None:
        return translated(error)


def translated(error: SQLAlchemyError) -> Exception | None:
    """DatabaseDown, Conflict or NotStorable, if that is what an error amounts to."""
    if isinstance(error, PoolTimeout):
        return DatabaseDown(f"all {MOST_CONNECTIONS} connections to the database were busy for {WAIT_SECONDS} s")
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    said = str(error.orig).strip()
    if state in _CONFLICTS:
        return Conflict(said)
    lost = type(error.orig).__name__ == "OperationalError" and state is None
    if isinstance(error, DataError):
        return NotStorable(said)
    if error.connection_invalidated or lost or state in _DOWN or (state or "").startswith("08"):
        # The lines below the first one give advice to people who set up a database.
        return DatabaseDown(said.partition("\n")[0])
    return None
