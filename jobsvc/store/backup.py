"""A copy of a SQLite database as it was at one moment, made while the service works on it."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from jobsvc.store.durable import flush_directory

LOCK_SECONDS = 30.0
"""How long to wait for another process that has the database to itself for a moment."""


class BackupFailed(Exception):
    """There is no copy; the text says why."""


def back_up(database: Path, file: Path) -> int:
    """Copy the database to `file`, which appears whole and checked, or not at all; returns its size in bytes.

    All of it is read in one transaction, so that it is what was committed when that
    began. Writers go on meanwhile; the log that they write to is given back afterwards.
    Raises BackupFailed, FileExistsError.
    """
    if os.path.lexists(file):
        raise FileExistsError(f"{file} is there already")
    new = file.with_name(f"{file.name}.{secrets.token_hex(8)}.part")
    try:
        # For this user's eyes until it has the rights that the database has.
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(database, new)
        shutil.copymode(database, new)
        _flush(new)
        _publish(new, file)
        return file.stat().st_size
    except FileExistsError:
        raise
    except (sqlite3.Error, OSError) as error:
        raise BackupFailed(str(error)) from error
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)


def _copy(database: Path, new: Path) -> None:
    source_uri = f"file:{quote(str(database.absolute()))}?mode=rw"
    with (
        closing(sqlite3.connect(source_uri, uri=True, timeout=LOCK_SECONDS)) as source,
        closing(sqlite3.connect(new, isolation_level=None)) as target,
    ):
        # A half copy is of no use: writing its log would be a waste.
        target.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")
        # In one step: between two, a commit of somebody else would make it begin anew, again and again.
        source.backup(target, pages=-1)
        found = [row[0] for row in target.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise BackupFailed(f"{database} is damaged, and so would be its copy: {'; '.join(found)}")
        # One file that can be read anywhere, without a log beside it; the service sets the log up again.
        target.execute("PRAGMA journal_mode=DELETE").fetchone()


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(new: Path, file: Path) -> None:
    """Give it its name, unless somebody else has taken that meanwhile."""
    try:
        file.hardlink_to(new)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems give a file one name only.
        if file.exists():
            raise FileExistsError(f"{file} is there already") from None
        new.replace(file)
    flush_directory(file.parent)
