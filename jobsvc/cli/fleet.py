"""`python -m jobsvc worker` and `fleet`: one worker, and a whole fleet on this machine."""

from __future__ import annotations

import click

from jobsvc.cli.context import load_settings
from jobsvc.kinds.registry import KindError
from jobsvc.logs.setup import configure
from jobsvc.process.local_fleet import run_fleet
from jobsvc.process.worker import work
from jobsvc.settings import SettingError
from jobsvc.store.database import shown
from jobsvc.store.errors import DatabaseDown, DatabaseInUse, SchemaBehind
from jobsvc.store.locks.flock import DirectoryInUse


@click.command()
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Jobs at a time. [default: JOBSVC_MAX_RUNNING]")
@click.option("--queues", default="", help="Names of the kinds to take, with commas between. [default: all]")
@click.option("--name", help="What GET /workers calls it. [default: HOST:PID]")
def worker(concurrency: int | None, queues: str, name: str | None) -> None:
    """Run jobs, as one of the fleet's workers, until SIGTERM or SIGINT."""
    settings = load_settings()
    configure(settings)
    names = [kind.strip() for kind in queues.split(",") if kind.strip()]
    try:
        work(settings, concurrency=concurrency or settings.max_running, queues=names, name=name)
    except DatabaseDown as error:
        raise click.ClickException(f"{shown(settings.url)} does not answer: {error}") from None
    except (SettingError, KindError, DatabaseInUse, SchemaBehind) as error:
        raise click.ClickException(str(error)) from None


@click.command()
def fleet() -> None:
    """Run a whole fleet on this machine: a database, a web server and two workers."""
    try:
        run_fleet(load_settings())
    except DatabaseDown as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    except (SettingError, DirectoryInUse) as error:
        raise click.ClickException(str(error)) from None
