"""When a key ends: a day, which it lasts to the end of, or a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

LAST_SECOND = time(23, 59, 59)

ALLOWED = "a day, YYYY-MM-DD (UTC), or a moment in ISO 8601"


def read(text: str) -> datetime:
    """The moment from which on the key lets nobody in. Raises ValueError."""
    try:
        return _moment(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} must be {ALLOWED}") from None


def _moment(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return datetime.combine(day, LAST_SECOND, UTC)
