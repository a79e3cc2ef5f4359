"""`jobsvc serve`: the service in the foreground, as `make` runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from jobsvc.cli.port import fault_of
from jobsvc.settings import SettingError, Settings

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
    _check_port(options)
    sys.stdout.flush()
    # In place of this process, so that signals reach gunicorn.
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(configuration), "--pythonpath", str(ROOT)]
    os.execv(sys.executable, [*gunicorn, *options])  # noqa: S606 (no shell is wanted)


def _check_port(options: tuple[str, ...]) -> None:
    """Say at once that another has the port; gunicorn would try for seconds, and not say who it is."""
    elsewhere = (*options, *os.environ.get("GUNICORN_CMD_ARGS", "").split())
    if any(option.startswith(("-b", "--bind")) for option in elsewhere):
        return
    try:
        settings = Settings.load()
    except SettingError:
        # The service says so itself, as it does however it is started.
        return
    fault = fault_of(settings.host, settings.port)
    if fault is not None:
        raise click.ClickException(f"the service can't listen on {settings.host}:{settings.port}: {fault}")
