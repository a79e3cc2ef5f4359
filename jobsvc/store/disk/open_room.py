"""Which disks a process fills, by its settings."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import make_url

from jobsvc.settings import Settings
from jobsvc.store.database import is_postgresql
from jobsvc.store.disk.reserve import Reserve
from jobsvc.store.disk.room import Room


def open_room(settings: Settings) -> Room:
    """The room on the disks that a process with these settings fills."""
    database = _database_file(settings)
    reserve = None if database is None else Reserve(database.with_name(f"{database.name}-reserve"))
    return Room(filled_disks(settings), settings.min_free_bytes, reserve)


def filled_disks(settings: Settings) -> dict[str, Path]:
    """Directories on the disks that are filled, by what is there: the database, if that is a file, and the files."""
    places: dict[str, Path] = {}
    database = _database_file(settings)
    if database is not None:
        places["database"] = database.parent
    if not settings.files_url:
        places["files"] = settings.data_dir
    elif settings.files_url.startswith("file:"):
        places["files"] = Path(unquote(urlsplit(settings.files_url).path))
    return places


def _database_file(settings: Settings) -> Path | None:
    return None if is_postgresql(settings.url) else Path(make_url(settings.url).database or "").resolve()
