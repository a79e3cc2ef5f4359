"""Bringing the database's tables up to date."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from jobsvc.store.database import Database
from jobsvc.store.errors import SchemaBehind
from jobsvc.store.postgresql import queue_schema

MIGRATIONS = Path(__file__).parent / "migrations"


def is_current(database: Database) -> bool:
    """Whether no migration is missing. Changes nothing."""
    with database.read() as connection:
        applied = MigrationContext.configure(connection).get_current_heads()
        if set(applied) != set(ScriptDirectory(str(MIGRATIONS)).get_heads()):
            return False
        return not database.backend.has_queue or queue_schema.is_current(connection)


def upgrade(database: Database, to: str = "head") -> None:
    """Apply the migrations that are missing, up to the one with this number."""
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
        upgrade(database)
    elif not is_current(database):
        raise SchemaBehind("the tables in the database are not of this version; run: python -m jobsvc db upgrade")
