"""What a job's id looks like. Files are named by it, so this also tells our files from other people's."""

from __future__ import annotations

import re
from datetime import datetime

from jobsvc.identifiers import new_id

SHAPE = r"[^/\x00-\x1f]+-[A-Za-z][A-Za-z0-9_]*-\d{10}-(?:0|[1-9]\d{0,11})"
"""A user's name, a kind's, and what `new_id` adds. Ids have had this shape from the beginning."""

_SHAPE = re.compile(SHAPE)


def make(user: str, kind: str, at: datetime) -> str:
    """An id of a job to be."""
    return new_id(f"{user}-{kind}", at)


def is_job_id(name: str) -> bool:
    return _SHAPE.fullmatch(name) is not None
