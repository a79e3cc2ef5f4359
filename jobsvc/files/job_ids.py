"""What a job's id looks like. Files are named by it, so this also tells our files from other people's."""

from __future__ import annotations

import re
from datetime import datetime

MAX_NUMBERS = 10**12
"""The last part of an id is a number below this."""

SHAPE = r"[^/\x00-\x1f]+-[A-Za-z][A-Za-z0-9_]*-\d{10}-(?:0|[1-9]\d{0,11})"
"""A user's name, a kind's, the seconds since 1970, a random number. Ids have had this shape from the beginning."""

_SHAPE = re.compile(SHAPE)


def make(user: str, kind: str, at: datetime, number: int) -> str:
    """An id of a job to be."""
    return f"{user}-{kind}-{int(at.timestamp())}-{number}"


def is_job_id(name: str) -> bool:
    return _SHAPE.fullmatch(name) is not None
