"""The keys of the setting JOBSVC_API_KEYS: for a few people, without a table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hmac import compare_digest

from jobsvc.access import users
from jobsvc.access.caller import Caller
from jobsvc.access.key_text import digest
from jobsvc.access.roles import Role

SETTING = "JOBSVC_API_KEYS"

MIN_CHARACTERS = 16

KEY = re.compile(rf"[A-Za-z0-9._~+/-]{{{MIN_CHARACTERS},256}}=*")
"""What a header `Authorization: Bearer …` can have (RFC 6750), long enough not to be guessed."""

ALLOWED = (
    f"user:key or user:key:role, further ones after commas: a user's name, {MIN_CHARACTERS} to 256 letters, digits "
    f"and . _ ~ + / -, perhaps with = at the end, and one of {', '.join(Role)} (user, if not given); "
    'python3 -c "import secrets; print(secrets.token_urlsafe(32))" makes a key'
)


@dataclass(frozen=True, slots=True)
class FixedKey:
    """A key of the setting. The key itself is not kept."""

    user: str
    role: Role
    digest: str


@dataclass(frozen=True, slots=True)
class KeyRing:
    keys: tuple[FixedKey, ...] = ()

    @classmethod
    def read(cls, text: str) -> KeyRing:
        """Raises ValueError."""
        keys = [_read(part.strip()) for part in text.split(",") if part.strip()]
        if len({key.digest for key in keys}) < len(keys):
            raise ValueError("two users have the same key")
        return cls(tuple(keys))

    def caller(self, text: str) -> Caller | None:
        """Whose key that is. Compares with all of them, in a time that tells nothing of where it differs."""
        return self.by_digest(digest(text))

    def by_digest(self, stored: str) -> Caller | None:
        """Whose key has that digest: None once it was taken out of the setting."""
        found = [key for key in self.keys if compare_digest(key.digest, stored)]
        return Caller(found[0].user, found[0].role, key_id=f"{SETTING}:{found[0].user}") if found else None

    def __bool__(self) -> bool:
        return bool(self.keys)


def _read(part: str) -> FixedKey:
    user, _, rest = part.partition(":")
    key, _, role = rest.partition(":")
    users.check(user)
    if not KEY.fullmatch(key):
        raise ValueError("a key is too short, too long, or has other characters")
    return FixedKey(user, Role(role or Role.USER), digest(key))
