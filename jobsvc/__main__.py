"""The command line: `python -m jobsvc`."""

from __future__ import annotations

import click

from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade


@click.group()
def main() -> None:
    """Look after the service from the shell."""


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def upgrade_database() -> None:
    """Apply the migrations that are missing. A start on SQLite does this by itself."""
    try:
        settings = Settings.load()
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.url)
    upgrade(database)
    database.dispose()
    click.echo(f"{settings.url} is up to date")


if __name__ == "__main__":
    main(prog_name="python -m jobsvc")
