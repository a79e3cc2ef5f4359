"""The command line: `python -m jobsvc`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
from sqlalchemy import make_url

from jobsvc.clock import now
from jobsvc.files.belonging import adopt, settle
from jobsvc.files.open_files import open_files
from jobsvc.files.strays import KEPT, STRAYS
from jobsvc.kinds.registry import KindError
from jobsvc.process.local_fleet import run_fleet
from jobsvc.process.locks import Locks
from jobsvc.process.worker import work
from jobsvc.service.retention import Retention, RetentionPolicy, Swept
from jobsvc.settings import SettingError, Settings
from jobsvc.store import clock
from jobsvc.store.backup import BackupFailed, back_up
from jobsvc.store.database import Database, is_postgresql, shown
from jobsvc.store.errors import DatabaseDown, DatabaseInUse, FilesDown, SchemaBehind
from jobsvc.store.locks.flock import DirectoryInUse
from jobsvc.store.migrate import is_current, upgrade


@click.group()
def main() -> None:
    """Look after the service from the shell."""


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def upgrade_database() -> None:
    """Apply the migrations that are missing. A start on SQLite does this by itself."""
    settings = _settings()
    with _alone(settings):
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
    settings = _settings()
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


@main.command()
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Jobs at a time. [default: JOBSVC_MAX_RUNNING]")
@click.option("--queues", default="", help="Names of the kinds to take, with commas between. [default: all]")
@click.option("--name", help="What GET /workers calls it. [default: HOST:PID]")
def worker(concurrency: int | None, queues: str, name: str | None) -> None:
    """Run jobs, as one of the fleet's workers, until SIGTERM or SIGINT."""
    settings = _settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # At each entry of the queue it says what is in the job's history too.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    names = [kind.strip() for kind in queues.split(",") if kind.strip()]
    try:
        work(settings, concurrency=concurrency or settings.max_running, queues=names, name=name)
    except DatabaseDown as error:
        raise click.ClickException(f"{shown(settings.url)} does not answer: {error}") from None
    except (SettingError, KindError, DatabaseInUse, SchemaBehind) as error:
        raise click.ClickException(str(error)) from None


@main.command()
def fleet() -> None:
    """Run a whole fleet on this machine: a database, a web server and two workers."""
    try:
        run_fleet(_settings())
    except DatabaseDown as error:
        raise click.ClickException(f"the database does not answer: {error}") from None
    except (SettingError, DirectoryInUse) as error:
        raise click.ClickException(str(error)) from None


DAYS = click.FloatRange(0, 100_000)


@main.command()
@click.option("--finished-days", type=DAYS, help="Instead of JOBSVC_KEEP_FINISHED_DAYS; 0: forget no job.")
@click.option(
    "--files-days", type=DAYS, help="Instead of JOBSVC_KEEP_FILES_DAYS; 0: remove no files of jobs that stay."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def purge(finished_days: float | None, files_days: float | None, dry_run: bool) -> None:
    """Forget now what is past its time, as the service does every hour. It may be running meanwhile."""
    settings = _settings()
    if finished_days is not None:
        settings = replace(settings, keep_finished_days=finished_days)
    if files_days is not None:
        settings = replace(settings, keep_files_days=files_days)
    try:
        with _existing(settings) as database:
            files = open_files(settings)
            settle(database, files, dry=dry_run)
            retention = Retention(database, files, RetentionPolicy.of(settings), partial(clock.read, own=now))
            swept = retention.preview() if dry_run else retention.sweep()
    except FilesDown as error:
        raise click.ClickException(f"not everything could be forgotten: {error}") from None
    for line in _told(swept, settings, dry_run):
        click.echo(line)


def _told(swept: Swept, settings: Settings, dry_run: bool) -> list[str]:
    forgot, removed = ("would forget", "would remove") if dry_run else ("forgot", "removed")
    return [
        f"{forgot} {swept.jobs} jobs that had finished more than {settings.keep_finished_days:g} days ago"
        if settings.keep_finished_days
        else f"{forgot} no job: they are kept for ever",
        f"{removed} the files of {swept.files} jobs that had finished more than {settings.keep_files_days:g} days ago"
        if settings.keep_files_days
        else f"{removed} no files of jobs that stay: they are kept for as long",
        f"{forgot} {swept.keys} idempotency keys that are older than {settings.idempotency_hours:g} hours",
    ]


@main.group()
def files() -> None:
    """Where uploads and exports are."""


@files.command("adopt")
def adopt_files() -> None:
    """Say that the files belong to the database, after a start has refused them. Whoever had them before loses them."""
    settings = _settings()
    try:
        with _alone(settings), _existing(settings) as database:
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


@contextmanager
def _existing(settings: Settings) -> Iterator[Database]:
    """A database that is there and of this version."""
    if not is_postgresql(settings.url) and not Path(make_url(settings.url).database or "").is_file():
        raise click.ClickException(f"there is no database at {settings.url}")
    database = Database(settings.url)
    try:
        if not is_current(database):
            raise click.ClickException(
                f"{shown(settings.url)} is not of this version; run: python -m jobsvc db upgrade"
            )
        yield database
    except SettingError as error:
        raise click.ClickException(str(error)) from None
    except DatabaseDown as error:
        raise click.ClickException(f"{shown(settings.url)} does not answer: {error}") from None
    finally:
        database.close()


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """On SQLite, keep the service from running meanwhile."""
    locks = Locks(settings)
    if not is_postgresql(settings.url):
        try:
            locks.acquire(0)
        except (SettingError, DirectoryInUse) as error:
            raise click.ClickException(str(error)) from None
    try:
        yield
    finally:
        locks.release()


def _settings() -> Settings:
    try:
        return Settings.load()
    except SettingError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="python -m jobsvc")
