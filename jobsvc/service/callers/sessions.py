"""Logins of browsers: beginning a session with a key, whose a session is, ending it.

A session is nothing of its own: what it lets somebody do is what its key does at that
very request. So it ends with its key, whether that is revoked, expires, or is taken out
of the setting.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import RowMapping

from jobsvc.access import key_text, session_text
from jobsvc.access.acts import Act
from jobsvc.access.caller import Caller
from jobsvc.access.errors import Unauthorized
from jobsvc.access.key_ring import KeyRing
from jobsvc.access.session_text import IDLE, LONGEST
from jobsvc.service.auditing.noting import note_session
from jobsvc.service.callers.key_use import KeyUse
from jobsvc.service.callers.keys import ApiKey, Keys
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.queries.callers import session_rows

ENDED = "your login has ended: log in again"


class NewSession(NamedTuple):
    id: str
    """What the browser sends. Only its digest is stored."""
    caller: Caller


class Sessions:
    """Safe to share among threads: it holds nothing that changes."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        ring: KeyRing,
        now: Callable[[], datetime],
        use: KeyUse,
    ) -> None:
        """`ring` has the keys of the settings."""
        self._database, self._keys, self._ring, self._now, self._use = database, keys, ring, now, use

    def begin(self, key: str, address: str | None) -> NewSession:
        """Log in with a key, from that address. Raises Unauthorized."""
        caller = self._keys.caller(key)
        assert caller.key_id is not None, "a key was shown"
        made = session_text.make()
        with self._database.write(urgent=True) as connection:
            now = clock.read(connection, self._now)
            session_rows.add(
                connection,
                {
                    "digest": session_text.digest(made),
                    "key_id": caller.key_id,
                    "key_digest": key_text.digest(key),
                    "created_at": now,
                    "expires_at": now + LONGEST,
                    "last_used_at": now,
                },
            )
            note_session(connection, Act.LOG_IN, caller, address=address, at=now)
        return NewSession(made, caller)

    def caller(self, session: str, *, use: bool = True) -> Caller:
        """Whose session that is. `use`: it is used for what its user wants. Raises Unauthorized."""
        digest = session_text.digest(session)
        if digest is None:
            raise Unauthorized(ENDED)
        with self._database.read() as connection:
            row = session_rows.with_key(connection, digest)
            now = clock.read(connection, self._now)
        caller = self._whose(row, now)
        if use:
            self._use.note_session(digest)
            if row is not None and row["id"] is not None:
                self._use.note(row["id"])
        return caller

    def _whose(self, row: RowMapping | None, now: datetime) -> Caller:
        if row is None or row["session_expires_at"] <= now or row["session_last_used_at"] + IDLE <= now:
            raise Unauthorized(ENDED)
        if row["id"] is not None:
            return ApiKey.from_row(row).caller(now)
        fixed = self._ring.by_digest(row["session_key_digest"])
        if fixed is None:
            raise Unauthorized("the key that you have logged in with is none of this service any more")
        return fixed

    def end(self, session: str, address: str | None) -> None:
        """Log out, from that address. To end it again, or one that has ended by itself, is harmless."""
        digest = session_text.digest(session)
        if digest is None:
            return
        with self._database.write(urgent=True) as connection:
            now = clock.read(connection, self._now)
            row = session_rows.with_key(connection, digest)
            # Of two that end it at once, one does.
            if not session_rows.remove(connection, digest):
                return
            try:
                caller = self._whose(row, now)
            except Unauthorized:
                # It let nobody in any more.
                return
            note_session(connection, Act.LOG_OUT, caller, address=address, at=now)
