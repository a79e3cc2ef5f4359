"""Where the service may listen: beyond this machine only with keys, or if it is told so."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database, is_postgresql
from jobsvc.store.queries.callers import key_rows


def check_listen(settings: Settings, host: str) -> None:
    """Raise SettingError if everybody who reaches `host` would be let in, and nobody has said that this is meant."""
    try:
        settings.check_listen(host)
    except SettingError:
        if not has_stored_keys(settings):
            raise


def has_stored_keys(settings: Settings) -> bool:
    """Whether keys were made in the database. False if it is not there yet, or can't be read."""
    if not is_postgresql(settings.url) and not Path(make_url(settings.url).database or "").is_file():
        return False
    database = Database(settings.url)
    try:
        with database.read() as connection:
            return key_rows.any_there(connection)
    except SQLAlchemyError:
        # One of an older version has no such table. What is wrong with it otherwise, the start says.
        return False
    finally:
        database.close()
