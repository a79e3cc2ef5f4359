"""The text of a key: `jobsvc_<id>_<secret>`.

Its beginning is the same for all, so that scanners of secrets find keys that were
published by mistake. The id says which key it is, in lists and in the audit, and is
no secret. The secret has 256 random bits, so a plain SHA-256 of the whole text can
be stored: there is nothing to guess, and no need for a slow hash.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

PREFIX = "jobsvc_"

ID_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without those that are taken for each other."""

ID_LENGTH = 8

SECRET_BYTES = 32

SHAPE = re.compile(rf"{PREFIX}([a-z0-9]{{{ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}")


class NewKey(NamedTuple):
    id: str
    text: str


def make() -> NewKey:
    """A new key."""
    key_id = "".join(secrets.choice(ID_CHARACTERS) for _ in range(ID_LENGTH))
    return NewKey(key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}")


def id_of(text: str) -> str | None:
    """The id of a key that was made here, by its text; None if it can't be one."""
    found = SHAPE.fullmatch(text)
    return found.group(1) if found else None


_SECRET = re.compile(rf"({PREFIX}[a-z0-9]{{{ID_LENGTH}}}_)[A-Za-z0-9_-]+")


def without_secrets(text: str) -> str:
    """The text, in which each key is without its secret: somebody may have put one where its id belongs."""
    return _SECRET.sub(r"\1…", text)


def digest(text: str) -> str:
    """What is stored of a key, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
