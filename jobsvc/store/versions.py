"""Which version of which database there is."""

from __future__ import annotations

import sqlite3

from jobsvc.store.database import Database


def sqlite() -> str:
    """Of the library that is in Python."""
    return sqlite3.sqlite_version


def postgresql(database: Database) -> str | None:
    """Of the server, once it has answered; None if there is none."""
    engine = database.backend.engine
    found = getattr(engine.dialect, "server_version_info", None)
    return None if engine.name != "postgresql" or found is None else ".".join(map(str, found))
