"""Which columns have dates in them, and how they are written: for people to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from jobsvc.kinds.csv.dates import COMMON, Dates

FORMATS = (None, *COMMON)
"""None stands for the default, YYYY-MM-DD."""

MOST_NAMED = 3

COLUMNS_LOOKED_AT = 50

ROWS_LOOKED_AT = 20

_SHORTEST, _LONGEST = 6, 40
"""How many characters a date may have."""


def better_formats(texts: Sequence[str], form: str | None) -> list[str | None]:
    """The formats that read more of these fields than `form` does, as many as any other; none if there is no such."""
    now = _count(texts, form)
    counts = {other: _count(texts, other) for other in FORMATS} if now < len(texts) else {}
    most = max(counts.values(), default=0)
    return [other for other, count in counts.items() if count == most > now][:MOST_NAMED]


def columns_of_dates(rows: Sequence[Sequence[str]]) -> list[tuple[int, str | None]]:
    """Columns, by their places, most of whose fields are dates; with the format that reads the most of them."""
    rows = rows[:ROWS_LOOKED_AT]
    fields: dict[int, list[str]] = {}
    for at in range(min(map(len, rows), default=0)):
        texts = [row[at] for row in rows if row[at].strip()]
        if len(texts) * 2 > len(rows) and all(map(_may_be_date, texts)):
            fields[at] = texts
        if len(fields) == COLUMNS_LOOKED_AT:
            break
    # One format after the other: Python remembers how few of them are read.
    counts = {form: {at: _count(texts, form) for at, texts in fields.items()} for form in FORMATS}
    best = {at: max(FORMATS, key=lambda form: counts[form][at]) for at in fields}
    return [(at, form) for at, form in best.items() if counts[form][at] * 2 > len(fields[at])][:MOST_NAMED]


def _may_be_date(text: str) -> bool:
    return _SHORTEST <= len(text.strip()) <= _LONGEST and any(letter.isdecimal() for letter in text)


def _count(texts: Sequence[str], form: str | None) -> int:
    find = Dates(form).find
    return sum(find(text) is not None for text in texts)
