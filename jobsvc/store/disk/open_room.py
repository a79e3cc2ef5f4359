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
    """The disks that a process with these settings fills: the database's, if that is a file, and the files'."""
    places: dict[str, Path] = {}
    reserve = None
    if not is_postgresql(settings.url):
        database = Path(make_url(settings.url).database or "").resolve()
        places["database"] = database.parent
        reserve = Reserve(database.with_name(f"{database.name}-reserve"))
    if not settings.files_url:
        places["files"] = settings.data_dir
    elif settings.files_url.startswith("file:"):
        places["files"] = Path(unquote(urlsplit(settings.files_url).path))
    return Room(places, settings.min_free_bytes, reserve)
