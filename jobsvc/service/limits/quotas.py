"""How many jobs a user may have queued, and how many bytes stored.

Looked at twice: before an upload is read, so that nothing arrives in vain; and in the transaction that makes
the job, which alone decides. There the user is locked, so that two requests don't both take the last place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from jobsvc.jobs.errors import TooManyQueued, TooMuchStored
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.queries import idempotency_rows
from jobsvc.store.queries.sharing import user_rows


@dataclass(frozen=True)
class Allowance:
    """How many bytes a user has stored, and may have; None: as many as there is room for."""

    user: str
    used: int
    allowed: int | None

    def check(self, more: int) -> None:
        """Raise TooMuchStored if so many bytes more would be too many."""
        if self.allowed is not None and self.used + more > self.allowed:
            raise TooMuchStored(self.user, used=self.used, more=more, allowed=self.allowed)


class Quotas:
    """Safe to share among threads. A limit of 0 is none."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        *,
        max_queued: int = 0,
        max_stored_bytes: int = 0,
        idempotency_hours: float = 24.0,
    ) -> None:
        self._database, self._now = database, now
        self._max_queued, self._max_stored_bytes = max_queued, max_stored_bytes
        self._remembered = timedelta(hours=idempotency_hours)

    def before_upload(self, user: str, idempotency_key: str | None, least: int) -> Allowance:
        """What a user may upload who sends a file of at least so many bytes. Raises TooManyQueued, TooMuchStored.

        A request that repeats an earlier one is let through: it may get the job that there is.
        """
        none = Allowance(user, 0, None)
        if not (self._max_queued or self._max_stored_bytes):
            return none
        with self._database.read() as connection:
            if idempotency_key is not None:
                found = idempotency_rows.find(connection, user, idempotency_key)
                if found is not None and found["created_at"] >= clock.read(connection, self._now) - self._remembered:
                    return none
            self._check_queued(connection, user)
            allowance = self._allowance(connection, user)
        allowance.check(max(1, least))
        return allowance

    def check(self, connection: Connection, user: str, adds: int) -> None:
        """In the transaction that makes a job: raise TooManyQueued or TooMuchStored if the user may not have it.

        `adds` is how many bytes it adds at least: one for a job without an upload: nobody knows what it will make.
        """
        if self._max_queued or self._max_stored_bytes:
            self._database.backend.lock_for_user(connection, user)
            self._check_queued(connection, user)
            self._allowance(connection, user).check(adds)

    def _check_queued(self, connection: Connection, user: str) -> None:
        if not self._max_queued:
            return
        queued = user_rows.count_queued(connection, user)
        if queued >= self._max_queued:
            raise TooManyQueued(user, used=queued, allowed=self._max_queued)

    def _allowance(self, connection: Connection, user: str) -> Allowance:
        if not self._max_stored_bytes:
            return Allowance(user, 0, None)
        return Allowance(user, user_rows.stored_bytes(connection, user), self._max_stored_bytes)
