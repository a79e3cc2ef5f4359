"""When a key ends: a day, which it lasts to the end of, or a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime

ALLOWED = "a day, YYYY-MM-DD (UTC), or a moment in ISO 8601"


def read(text: str) -> datetime:
    """The moment from which on the key lets nobody in. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
        if len(text) == len("YYYY-MM-DD"):
            found = datetime.combine(date.fromisoformat(text), datetime.max.time().replace(microsecond=0))
    except ValueError:
        raise ValueError(f"{text[:40]!r} must be {ALLOWED}") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
