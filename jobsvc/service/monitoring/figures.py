"""What the database knows of the whole service, read when somebody asks, and never waited for too long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Condition, Thread
from time import monotonic

from sqlalchemy import RowMapping
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.jobs.states import State
from jobsvc.service.workers import Slots, Workers
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.queries import figures as queries

LOCK_SECONDS = 2.0
"""How long a reading waits for what others hold."""

WAIT_SECONDS = 4.0
"""How long a caller waits for a reading, whatever keeps it: a lock, a slow disk, a network that has gone."""

CHEAP_SECONDS = 0.05
"""A reading that takes no longer is made anew for each call."""

SHARE = 0.05
"""Those that do take at most this share of the time: their figures answer further calls for a while."""

MAX_AGE_SECONDS = 5.0
"""But not longer than this, or two processes would tell Prometheus different ages of a counter in turn."""

LATE_SECONDS = 60.0
"""A process that is alone tells figures that are as old as this, rather than none, while a reading takes too long."""


@dataclass(frozen=True)
class Figures:
    """All of one moment. Ages are in seconds, 0 where there is no such job."""

    by_kind_and_state: Sequence[RowMapping]
    """See `store/queries/figures.py`."""
    oldest_queued: float
    longest_paused: float
    webhooks_waiting: int
    bytes: Mapping[str, int]
    """By `database` and `log`; the log only where it is known."""
    slots: Slots | None
    workers: int | None
    """How many are alive, in a fleet."""
    read_at: float
    """On the monotonic clock."""
    took: float

    @property
    def good_until(self) -> float:
        return self.read_at + (0 if self.took <= CHEAP_SECONDS else min(MAX_AGE_SECONDS, self.took / SHARE))


class DatabaseFigures:
    """Safe to share among threads. `_changed` guards the rest, and is not held while the database is asked.

    At most one thread reads, however many ask: a database that hangs keeps one thread, which ends with its
    connection, and never a request.
    """

    def __init__(
        self, database: Database, workers: Workers, now: Callable[[], datetime], *, shared: bool = False
    ) -> None:
        """`shared` says that other processes tell the figures of this database too."""
        self._late_seconds = 0.0 if shared else LATE_SECONDS
        self._database = database
        self._workers = workers
        self._now = now
        self._changed = Condition()
        self._reading = False
        self._latest: Figures | None = None

    def get(self) -> Figures | None:
        """The figures of now, or of a moment ago; None if the database does not tell them in time."""
        until = monotonic() + WAIT_SECONDS
        with self._changed:
            if self._latest is not None and monotonic() < self._latest.good_until:
                return self._latest
            if not self._reading:
                reader = Thread(target=self._read, name="jobsvc-figures", daemon=True)
                try:
                    reader.start()
                except RuntimeError:
                    # The system allows no further thread now.
                    return None
                self._reading = True
            in_time = self._changed.wait_for(lambda: not self._reading, until - monotonic())
            latest = self._latest
            if not in_time and latest is not None and monotonic() - latest.read_at > self._late_seconds:
                return None
            return latest

    def _read(self) -> None:
        found = None
        try:
            found = self._figures()
        except SQLAlchemyError:
            # Whoever asks is told so.
            pass
        finally:
            with self._changed:
                self._reading, self._latest = False, found
                self._changed.notify_all()

    def _figures(self) -> Figures:
        begun = monotonic()
        with self._database.read(within=LOCK_SECONDS) as connection:
            now = clock.read(connection, self._now)

            def age(since: datetime | None) -> float:
                return 0.0 if since is None else max(0.0, (now - since).total_seconds())

            return Figures(
                by_kind_and_state=queries.by_kind_and_state(connection),
                oldest_queued=age(queries.oldest_queued(connection, State.QUEUED)),
                longest_paused=age(queries.longest_in(connection, State.PAUSED)),
                webhooks_waiting=queries.webhooks_waiting(connection),
                bytes=self._database.backend.sizes(connection),
                slots=self._workers.slots(connection),
                workers=self._workers.count_in(connection),
                read_at=begun,
                took=monotonic() - begun,
            )
