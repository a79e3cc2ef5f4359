"""One process for each SQLite database, by whatever path it is reached."""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress
from pathlib import Path

from jobsvc.store.locks.flock import Handover, take

log = logging.getLogger(__name__)

OPEN_FILES = Path("/dev/fd")
"""Has the numbers of this process's open files, on Linux, macOS and the BSDs."""


class DatabaseLock:
    """flock on the database file itself: links to it, symbolic or hard, lead to the same lock.

    To be taken before the database is opened, and released after it is closed: when a
    process closes any descriptor of a file, the kernel drops all POSIX locks that the
    process has on it, and SQLite has some while it is open. flock's own locks are
    something else on Linux, so that SQLite goes on working, also in other processes
    (`purge`, a backup).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, handover_seconds: float) -> None:
        """Take the lock, as `DirectoryLock.acquire` does. Makes an empty file, which is SQLite's new database."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            take(descriptor, Handover.of(handover_seconds), f"the database {self._path}")
            if _shuts_sqlite_out(descriptor):
                fcntl.flock(descriptor, fcntl.LOCK_UN)
                log.warning("%s can't be locked beside SQLite: links to it are not noticed here", self._path)
        except BaseException:
            _close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process have the database. Harmless if the lock isn't held."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            _close(self._descriptor)
            self._descriptor = None


def _shuts_sqlite_out(descriptor: int) -> bool:
    """Whether flock and POSIX locks exclude each other here, as on NFS and macOS. SQLite never locks the first byte."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except (BlockingIOError, PermissionError):
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1)
    return False


def _close(descriptor: int) -> None:
    """Close it, unless this process has the file open elsewhere, as SQLite has where a late thread still reads.

    Then it is left to the end of the process: closing it would take SQLite's locks away.
    """
    mine = os.fstat(descriptor)
    with suppress(OSError):
        for entry in OPEN_FILES.iterdir():
            number = int(entry.name)
            if number != descriptor and _is_of(number, mine):
                return
    os.close(descriptor)


def _is_of(number: int, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), file)
    except OSError:
        # It was the listing's own.
        return False
