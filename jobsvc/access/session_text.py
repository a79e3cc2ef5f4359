"""The id of a browser's session, and how long a session lasts.

The id has 256 random bits and says nothing, so it needs no signature; a plain SHA-256
of it is stored, as of keys (`key_text.py`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta

BYTES = 32

SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")

IDLE = timedelta(hours=12)
"""A session ends when it was not used for so long."""

LONGEST = timedelta(days=7)
"""A session ends so long after its login in any case."""


def make() -> str:
    """A new session's id."""
    return secrets.token_urlsafe(BYTES)


def digest(text: str) -> str | None:
    """What is stored of an id, in hexadecimal; None if it can't be one."""
    return hashlib.sha256(text.encode()).hexdigest() if SHAPE.fullmatch(text) else None
