"""What several commands begin with: the settings, the database, the service at rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import make_url

from jobsvc.kinds.registry import BUILT_IN, KindError, load_kinds, taking_files
from jobsvc.process.locks import Locks
from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database, is_postgresql, shown
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.locks.flock import DirectoryInUse
from jobsvc.store.migrate import is_current


def load_settings() -> Settings:
    """What the environment says; a setting that can't be read ends the command."""
    try:
        return Settings.load()
    except SettingError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def existing(settings: Settings) -> Iterator[Database]:
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


def kinds_taking_files(settings: Settings) -> frozenset[str]:
    """The names of the kinds whose jobs have an upload each; of those that are there, where some can't be loaded."""
    try:
        return taking_files(load_kinds(settings.kinds))
    except KindError:
        return taking_files({kind.name: kind() for kind in BUILT_IN})


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
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
