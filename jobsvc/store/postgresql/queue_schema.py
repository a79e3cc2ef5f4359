"""Procrastinate's own tables, on PostgreSQL: the queue of the fleet.

Its package has one file for a new database, and many small ones that upgrade an older
one. The table `queue_migrations` notes which of those a database has.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, insert, select

from jobsvc.store.tables import queue_migrations


def is_current(connection: Connection) -> bool:
    """Whether no migration of the installed version is missing."""
    return not _missing(connection)


def upgrade(connection: Connection) -> None:
    """Make the tables, or bring them to the installed version, in the caller's transaction."""
    from procrastinate.schema import SchemaManager  # noqa: PLC0415 (who has SQLite does not need it)

    missing = _missing(connection)
    if not missing:
        return
    scripts = [SchemaManager.get_schema()] if len(missing) == len(_all()) else [path.read_text() for path in missing]
    for script in scripts:
        # The driver sends several statements at once only where there are no parameters, not even none.
        connection.connection.cursor().execute(script)
    connection.execute(insert(queue_migrations), [{"name": path.name} for path in missing])


def _missing(connection: Connection) -> list[Path]:
    applied = set(connection.execute(select(queue_migrations.c.name)).scalars())
    return [path for path in _all() if path.name not in applied]


def _all() -> list[Path]:
    from procrastinate.schema import SchemaManager  # noqa: PLC0415

    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
