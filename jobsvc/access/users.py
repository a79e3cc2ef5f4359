"""Names of users: they begin the ids of jobs, and so the names of files."""

from __future__ import annotations

import re

SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")

RESERVED = frozenset({"engine", "run", "service"})
"""A job's history names these where it was no user (`jobs/states.py`)."""

ALLOWED = (
    "1 to 64 letters (A to Z, a to z), digits and . _ - @, the first a letter or digit, "
    f"and none of {', '.join(sorted(RESERVED))}"
)


def check(name: str) -> str:
    """Returns the name. Raises ValueError, whose text says what is allowed."""
    if not SHAPE.fullmatch(name) or name in RESERVED:
        raise ValueError(f"{name[:80]!r} can't be a user's name: it must be {ALLOWED}")
    return name
