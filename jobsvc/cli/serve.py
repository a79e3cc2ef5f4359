"""`jobsvc serve`: the service in the foreground, as `make` runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

ROOT = Path(__file__).parents[2]
"""Where gunicorn's configuration stands, beside the package."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("options", metavar="[GUNICORN OPTION]...", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> None:
    """Run the service in the foreground; Ctrl-C stops it. This is what `make` runs.

    Settings come from the environment and from .env in this directory. Options are
    gunicorn's, such as `--workers 4` in a fleet.
    """
    configuration = ROOT / "gunicorn.conf.py"
    if not configuration.is_file():
        raise click.ClickException(
            f"{configuration} is missing: the service runs from a clone of its repository, or from its image"
        )
    sys.stdout.flush()
    # In place of this process, so that signals reach gunicorn.
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(configuration), "--pythonpath", str(ROOT)]
    os.execv(sys.executable, [*gunicorn, *options])  # noqa: S606 (no shell is wanted)
