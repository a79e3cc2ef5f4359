"""What one process alone may hold: data directory and database; with PostgreSQL the right to run its jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from sqlalchemy import make_url

from jobsvc.settings import EngineName, SettingError, Settings
from jobsvc.store.database import is_postgresql
from jobsvc.store.locks.database_lock import DatabaseLock
from jobsvc.store.locks.directory_lock import DirectoryLock
from jobsvc.store.locks.process_lock import ProcessLock

Lock: TypeAlias = DirectoryLock | DatabaseLock | ProcessLock


class Locks:
    """The locks of a process that runs the service's engine; see docs/decisions/0012."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: list[Lock] = []

    def acquire(self, handover_seconds: float) -> None:
        """Take all of them, or none. Raises DirectoryInUse, DatabaseInUse, DatabaseDown, SettingError.

        With `handover_seconds` above 0 this process is a server's worker, which waits
        so long for the one that it replaces.
        """
        try:
            for lock in self._wanted():
                lock.acquire(handover_seconds)
                self._held.append(lock)
        except OSError as error:
            self.release()
            directory = str(self._settings.data_dir)
            raise SettingError(f"JOBSVC_DATA_DIR={directory!r} can't be used: {error}") from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """To be called when the database is closed. The process that gets the lock released last gets all of them."""
        while self._held:
            self._held.pop().release()

    @property
    def of_processes(self) -> list[ProcessLock]:
        """Those that can be lost, and have to be watched."""
        return [lock for lock in self._held if isinstance(lock, ProcessLock)]

    def _wanted(self) -> list[Lock]:
        settings = self._settings
        if settings.engine is EngineName.FLEET:
            # All processes of a fleet share the directory, if it is where the files are.
            return [ProcessLock(settings.url, shared=True)]
        if is_postgresql(settings.url):
            # First: if somebody else runs its jobs, that is the better error.
            return [ProcessLock(settings.url), DirectoryLock(settings.data_dir)]
        # Where it really is, and not where a link to it is.
        database = Path(make_url(settings.url).database or "").resolve()
        directories = {settings.data_dir.resolve(): settings.data_dir}
        directories.setdefault(database.parent, database.parent)
        return [*map(DirectoryLock, directories.values()), DatabaseLock(database)]
