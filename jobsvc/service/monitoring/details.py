"""What the service is: its settings, versions, health, disks and database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from jobsvc.service.monitoring.cached import Cached
from jobsvc.service.monitoring.disks import Disk, look
from jobsvc.service.monitoring.told_settings import ToldSetting
from jobsvc.service.monitoring.versions import versions
from jobsvc.store.database import Database


@dataclass(frozen=True)
class ServiceDetails:
    """Sizes are in bytes. `sizes` are those of the `database`, and of its `log` where it is known; without an
    answer of the database there are none."""

    started_at: datetime
    versions: Mapping[str, str]
    settings: Sequence[ToldSetting]
    not_ready: str | None
    """Why the service can't take work at the moment."""
    disks: Sequence[Disk]
    least_free: int
    """So many bytes are to stay free on each."""
    database: str
    sizes: Mapping[str, int]


class Details:
    """Of this process. Safe to share among threads."""

    def __init__(
        self,
        database: Database,
        settings: Sequence[ToldSetting],
        disks: Mapping[str, Path],
        least_free: int,
        not_ready: Callable[[], str | None],
        started_at: datetime,
    ) -> None:
        self._database = database
        self._settings = settings
        self._disks = disks
        self._least_free = least_free
        self._not_ready = not_ready
        self._started_at = started_at
        self._cached = Cached(lambda _: self._read())

    def get(self) -> ServiceDetails:
        """All of it, at most some seconds old; also while the database is away."""
        return self._cached.get()

    def _read(self) -> ServiceDetails:
        return ServiceDetails(
            self._started_at,
            versions(self._database),
            self._settings,
            self._not_ready(),
            look(self._disks),
            self._least_free,
            self._database.shown,
            self._sizes(),
        )

    def _sizes(self) -> Mapping[str, int]:
        try:
            with self._database.read() as connection:
                return self._database.backend.sizes(connection)
        except SQLAlchemyError:
            return {}
