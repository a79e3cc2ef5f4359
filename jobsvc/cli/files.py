"""`python -m jobsvc files`: where uploads and exports are."""

from __future__ import annotations

import click

from jobsvc.cli.context import alone, existing, load_settings
from jobsvc.files.belonging import adopt
from jobsvc.files.open_files import open_files
from jobsvc.files.strays import KEPT, STRAYS
from jobsvc.store.database import shown
from jobsvc.store.errors import FilesDown


@click.group()
def files() -> None:
    """Where uploads and exports are."""


@files.command("adopt")
def adopt_files() -> None:
    """Say that the files belong to the database, after a start has refused them. The database that had them before
    loses them."""
    settings = load_settings()
    try:
        with alone(settings), existing(settings) as database:
            store = open_files(settings)
            adopted = adopt(database, store)
    except (FilesDown, OSError) as error:
        raise click.ClickException(f"the files can't be used: {error}") from None
    click.echo(f"the files in {store.place} belong to {shown(settings.url)} now: files of {adopted.known} of its jobs")
    if adopted.unknown:
        click.echo(
            f"files of {adopted.unknown} jobs that it does not know: the next start moves them "
            f"to {store.place}/{STRAYS}, and {KEPT.days} days later they are removed"
        )
