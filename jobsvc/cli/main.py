"""`python -m jobsvc`: all commands together."""

from __future__ import annotations

import click

from jobsvc.cli.db import db
from jobsvc.cli.files import files
from jobsvc.cli.fleet import fleet, worker
from jobsvc.cli.purge import purge


@click.group()
def main() -> None:
    """Look after the service from the shell."""


for command in (db, files, fleet, purge, worker):
    main.add_command(command)
