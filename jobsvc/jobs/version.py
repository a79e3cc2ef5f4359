"""The version of a job: a short text that changes whenever what a client sees of the job has changed.

It is made from what is shown, so that it can neither miss a change nor tell of one that
nobody sees. A job that has no run does not change by itself, and so its version stays.

A version has two parts, joined by a hyphen. The second one stands for what moves
while a job runs, the first one for all the rest. A client compares the whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

MOVING = ("progress", "rollback")
"""The fields that a run changes at each of its checkpoints, or a rollback at each of its batches."""

SHAPE = r"[0-9a-f]{12}-[0-9a-f]{12}"

_SHAPE = re.compile(SHAPE)

_DIGEST_BYTES = 6


def version_of(shown: Mapping[str, Any]) -> str:
    """The version of a job, from all its other fields."""
    moving = [shown[name] for name in MOVING]
    steady = {name: value for name, value in shown.items() if name not in MOVING}
    return f"{_digest(steady)}-{_digest(moving)}"


def is_version(text: str) -> bool:
    return _SHAPE.fullmatch(text) is not None


def only_moved(one: str, other: str) -> bool:
    """Whether two versions of a job, which differ, differ only in what moves while it runs."""
    return one.partition("-")[0] == other.partition("-")[0]


def _digest(value: Any) -> str:
    # Escaped, since what others wrote into the database may be no Unicode.
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=_DIGEST_BYTES).hexdigest()
