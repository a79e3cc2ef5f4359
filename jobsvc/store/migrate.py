"""Bringing the database's tables up to date."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from jobsvc.store.database import Database
from jobsvc.store.errors import SchemaBehind
from jobsvc.store.postgresql import queue_schema

MIGRATIONS = Path(__file__).parent / "migrations"


def is_current(database: Database) -> bool:
    """Whether no migration is missing. Changes nothing."""
    with database.read() as connection:
        return _is_current(database, connection)


def _is_current(database: Database, connection: Connection) -> bool:
    if _applied(connection) != newest():
        return False
    return not database.backend.has_queue or queue_schema.is_current(connection)


def newest() -> str:
    """The number of the latest migration that this version has: they stand in one line, each after the one before."""
    return max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


def _applied(connection: Connection) -> str | None:
    """The number of the latest migration that was applied: the only row of Alembic's table."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(database: Database, to: str = "head") -> None:
    """Apply the migrations that are missing, up to the one with this number."""
    # A quarter of what a start imports, and most starts have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.connect() as connection:
        config.attributes["connection"] = connection
        config.attributes["lock"] = database.backend.lock_for_migrations
        command.upgrade(config, to)
    if database.backend.has_queue:
        with database.write() as connection:
            database.backend.lock_for_migrations(connection)
            queue_schema.upgrade(connection)


def prepare(database: Database) -> None:
    """What a start does: apply the migrations that are missing, or be sure that there are none. Raises SchemaBehind."""
    if database.backend.migrates_at_start:
        # Not as a reader: SQLite's file may have to be made.
        with database.connect() as connection:
            current = _is_current(database, connection)
        if not current:
            upgrade(database)
    elif not is_current(database):
        raise SchemaBehind("the tables in the database are not of this version; run: python -m jobsvc db upgrade")
