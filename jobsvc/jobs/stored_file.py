"""What is known of an uploaded file as it is stored: unpacked, and UTF-8 if it was UTF-16."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class StoredFile:
    bytes: int
    sha256: str
    """The SHA-256 of its bytes, in hexadecimal digits."""
    mark: str | None
    """`Files.mark_of_input` when it had arrived: another one if somebody has written to it, or moved it, since."""

    @classmethod
    def from_json(cls, found: Any) -> Self | None:
        """None if it is not what `as_json` has made."""
        match found:
            case {"bytes": int(size), "sha256": str(digest), "mark": str() | None as mark}:
                return cls(size, digest, mark)
        return None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
