"""Keys: whose a key is, making one, listing and revoking them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from threading import Lock
from time import monotonic
from typing import NamedTuple

from sqlalchemy import RowMapping

from jobsvc.access import key_text, users
from jobsvc.access.acts import Act
from jobsvc.access.caller import Caller, anybody
from jobsvc.access.errors import Unauthorized
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.roles import Role
from jobsvc.jobs.errors import InvalidParameter, JobError
from jobsvc.service.auditing.noting import note
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.queries.callers import key_rows

NONE_MADE_SECONDS = 1.0
"""For so long a process believes that there is no key yet. That there is one, it believes for ever."""


class UnknownKey(JobError):
    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}")
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One row of `api_keys`, without what is stored of the key itself."""

    id: str
    user: str
    role: Role
    kinds: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def from_row(cls, row: RowMapping) -> ApiKey:
        kinds = None if row["kinds"] is None else tuple(row["kinds"])
        return cls(
            row["id"],
            row["user"],
            Role(row["role"]),
            kinds,
            row["created_at"],
            row["created_by"],
            row["expires_at"],
            row["revoked_at"],
            row["last_used_at"],
        )

    def why_not(self, now: datetime) -> str | None:
        """Why it lets nobody in; None if it does."""
        if self.revoked_at is not None:
            return f"the key {self.id} was revoked at {self.revoked_at:%Y-%m-%dT%H:%M:%SZ}"
        if self.expires_at is not None and self.expires_at <= now:
            return f"the key {self.id} has expired at {self.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        return None

    def caller(self, now: datetime) -> Caller:
        """Who has it. Raises Unauthorized if it lets nobody in."""
        why_not = self.why_not(now)
        if why_not is not None:
            raise Unauthorized(why_not)
        return Caller(self.user, self.role, None if self.kinds is None else frozenset(self.kinds), self.id)


@dataclass(frozen=True)
class NewApiKey:
    """A key to be. `kinds`: those of which it may start jobs; None: all."""

    user: str
    role: Role
    kinds: Sequence[str] | None = None
    expires_at: datetime | None = None


class MadeKey(NamedTuple):
    key: ApiKey
    text: str
    """What its user sends. It can't be shown again: only its digest is stored."""


class Keys:
    """Safe to share among threads. A lock guards what is remembered of whether there are keys."""

    def __init__(
        self,
        database: Database,
        ring: KeyRing,
        now: Callable[[], datetime],
        note_use: Callable[[str], None],
    ) -> None:
        """`ring` has the keys of the settings. `note_use` is told the id of each key that lets somebody in."""
        self._database, self._ring, self._now, self._note_use = database, ring, now, note_use
        self._lock = Lock()
        self._are_there = bool(ring)
        self._looked_at = float("-inf")

    def are_needed(self) -> bool:
        """Whether there are keys, so that nobody gets in without one. Those that were revoked count too."""
        with self._lock:
            if self._are_there or monotonic() < self._looked_at + NONE_MADE_SECONDS:
                return self._are_there
        looked_at = monotonic()
        with self._database.look() as connection:
            found = key_rows.any_there(connection)
        with self._lock:
            self._are_there = self._are_there or found
            self._looked_at = max(self._looked_at, looked_at)
            return self._are_there

    def caller(self, shown: str | None) -> Caller:
        """Who shows this key; anybody, where there are none. Raises Unauthorized."""
        if shown is None:
            if not self.are_needed():
                return anybody()
            raise Unauthorized("a key is needed: send it in the header Authorization: Bearer KEY")
        fixed = self._ring.caller(shown)
        if fixed is not None:
            return fixed
        key_id = key_text.id_of(shown)
        if key_id is None:
            raise Unauthorized("that is no key of this service")
        with self._database.read() as connection:
            row = key_rows.by_id(connection, key_id)
            now = clock.read(connection, self._now)
        # Both texts are digests, so that the time this takes tells nothing of the key.
        if row is None or not compare_digest(row["digest"], key_text.digest(shown)):
            raise Unauthorized("that is no key of this service")
        key = ApiKey.from_row(row)
        found = key.caller(now)
        self._note_use(key.id)
        return found

    def create(self, new: NewApiKey, by: str) -> MadeKey:
        """Make a key. Raises InvalidParameter."""
        try:
            users.check(new.user)
        except ValueError as error:
            raise InvalidParameter("user", str(error)) from None
        made = key_text.make()
        with self._database.write(urgent=True) as connection:
            now = clock.read(connection, self._now)
            if new.expires_at is not None and new.expires_at <= now:
                raise InvalidParameter("expires", f"{new.expires_at:%Y-%m-%dT%H:%M:%SZ} is over already")
            key_rows.add(
                connection,
                {
                    "id": made.id,
                    "user": new.user,
                    "role": new.role,
                    "kinds": None if new.kinds is None else sorted(set(new.kinds)),
                    "digest": key_text.digest(made.text),
                    "created_at": now,
                    "created_by": by,
                    "expires_at": new.expires_at,
                },
            )
            note(connection, Act.CREATE_KEY, made.id, by=by, at=now)
            row = key_rows.by_id(connection, made.id)
        assert row is not None
        # Nobody gets in without one from now on, whatever was found a moment ago.
        with self._lock:
            self._are_there = True
        return MadeKey(ApiKey.from_row(row), made.text)

    def every(self) -> list[ApiKey]:
        """All keys of the table, the oldest first, also those that let nobody in any more."""
        with self._database.read() as connection:
            return [ApiKey.from_row(row) for row in key_rows.every(connection)]

    def revoke(self, key_id: str, by: str) -> ApiKey:
        """Let nobody in with that key from now on. To revoke it again is harmless. Raises UnknownKey."""
        with self._database.write(urgent=True) as connection:
            now = clock.read(connection, self._now)
            revoked = key_rows.revoke(connection, key_id, now)
            row = key_rows.by_id(connection, key_id)
            if row is None:
                raise UnknownKey(key_id)
            note(connection, Act.REVOKE_KEY, key_id, by=by, at=now, already=not revoked)
        return ApiKey.from_row(row)
