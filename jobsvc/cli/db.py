"""`python -m jobsvc db`: the database."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import make_url

from jobsvc.cli.context import alone, load_settings
from jobsvc.store.backup import BackupFailed, back_up
from jobsvc.store.database import Database, is_postgresql, shown
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.migrate import upgrade


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def upgrade_database() -> None:
    """Apply the migrations that are missing. A start on SQLite does this by itself."""
    settings = load_settings()
    with alone(settings):
        database = Database(settings.url)
        try:
            upgrade(database)
        except DatabaseDown as error:
            raise click.ClickException(f"{shown(settings.url)} does not answer: {error}") from None
        finally:
            database.close()
    click.echo(f"{shown(settings.url)} is up to date")


@db.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
def back_up_database(file: Path) -> None:
    """Copy the SQLite database to FILE, as it is at this moment. The service may be running meanwhile."""
    settings = load_settings()
    if is_postgresql(settings.url):
        raise click.ClickException(
            f"{shown(settings.url)} is PostgreSQL, which has its own tool: "
            f'pg_dump --format=custom --file={file} "$DATABASE_URL"'
        )
    database = Path(make_url(settings.url).database or "")
    if not database.is_file():
        raise click.ClickException(f"there is no database at {settings.url}")
    try:
        size = back_up(database, file)
    except (BackupFailed, FileExistsError) as error:
        raise click.ClickException(f"no backup was made: {error}") from None
    click.echo(f"{file} has all that was committed in {shown(settings.url)}: {size:,} bytes")
