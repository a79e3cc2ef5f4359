"""What was found, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Mark(StrEnum):
    GOOD = "ok"
    NOTE = "note"
    """Worth knowing, and nothing to be mended."""
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    subject: str
    mark: Mark
    told: str
    todo: str | None = None
    """What mends it, of what is wrong."""

    def representation(self) -> dict[str, Any]:
        return asdict(self)


def good(subject: str, told: str) -> Finding:
    return Finding(subject, Mark.GOOD, told)


def note(subject: str, told: str) -> Finding:
    return Finding(subject, Mark.NOTE, told)


def wrong(subject: str, told: str, todo: str) -> Finding:
    return Finding(subject, Mark.WRONG, told, todo)
