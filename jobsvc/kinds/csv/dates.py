"""Dates as files have them, read as YYYY-MM-DD."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from operator import itemgetter

REMEMBERED = 10_000
"""For how many different texts a run remembers the date: most files have few."""

ISO_LENGTH = 10
"""An ISO date, YYYY-MM-DD, is this many characters long."""

_BEGINNING = itemgetter(slice(ISO_LENGTH))

COMMON = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"),
    *("%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p", "%a %b %d %H:%M:%S %Y"),
)
"""How people write dates; the first two that read a field are named."""

TRIES = 20
"""For so many fields of a run they are tried."""

_SAMPLES = (date(2006, 11, 23), date(1999, 2, 1))


def check_date_format(form: str) -> str:
    """A format of strptime that tells a day, a month and a year. Raises ValueError."""
    try:
        told = all(datetime.strptime(day.strftime(form), form).date() == day for day in _SAMPLES)  # noqa: DTZ007
    except ValueError:
        told = False
    if not told:
        raise ValueError(
            f"{form!r} is not usable: it must name day, month and year with %d, %m and %Y (or %y, %b, %B), "
            "such as %d/%m/%Y or %m/%d/%Y %H:%M"
        )
    return form


def _reading(text: str, forms: Sequence[str]) -> list[str]:
    """Those of the formats that read a field."""
    found = []
    for form in forms:
        try:
            datetime.strptime(text.strip(), form)  # noqa: DTZ007
        except ValueError:
            continue
        found.append(form)
    return found


class Dates:
    """Finds the dates in fields: their first ten characters, or by a format of strptime the whole field."""

    def __init__(self, form: str | None) -> None:
        self._form = form
        self._known: dict[str, str] = {}
        self._tries = 0
        self._likely: list[str] = []
        """The formats that have read the last field which the run's own doesn't, and one of `COMMON` does."""
        self.wrong = "doesn't begin with a date YYYY-MM-DD" if form is None else f"is no date of the form {form}"
        """What is wrong with a field that has no date."""
        self._others = "; date_format=%d/%m/%Y and the like read others" if form is None else ""

    def why_none(self, text: str) -> str:
        """What is wrong with a field that has no date, and a hint: which option reads it, if one is known.

        For the first fields of a run all common formats are tried; for later ones those that have read the last of
        them: there may be millions of such fields, and they are alike.
        """
        if self._tries < TRIES:
            self._tries += 1
            read = _reading(text, COMMON)[:2]
            self._likely = read or self._likely
        else:
            read = _reading(text, self._likely)
        options = " or ".join(f"date_format={form}" for form in read)
        return f"{self.wrong}; {options} reads it" if options else self.wrong + self._others

    def find(self, text: str) -> str | None:
        """The date in a field, as YYYY-MM-DD; None if there is none."""
        key = self._key(text)
        return self._known.get(key) or self._read(key)

    def find_all(self, texts: list[str]) -> list[str] | None:
        """The dates in fields; None if one of them has none."""
        if self._form is None:
            texts = list(map(_BEGINNING, texts))
        known = self._known
        for text in set(texts) - known.keys():
            if self._read(self._key(text)) is None:
                return None
        if self._form is None:
            # What begins a field is the date.
            return texts
        try:
            return [known[text] for text in texts]
        except KeyError:
            # Some were forgotten meanwhile: there are too many different ones.
            found = [self.find(text) for text in texts]
            return [day for day in found if day is not None] if None not in found else None

    def _key(self, text: str) -> str:
        return text[:ISO_LENGTH] if self._form is None else text

    def _read(self, text: str) -> str | None:
        day = self._iso(text) if self._form is None else self._by_format(text)
        if day is not None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[text] = day
        return day

    @staticmethod
    def _iso(text: str) -> str | None:
        try:
            # fromisoformat also reads other ISO forms, such as 2013-W01-1.
            return text if date.fromisoformat(text).isoformat() == text else None
        except ValueError:
            return None

    def _by_format(self, text: str) -> str | None:
        assert self._form is not None
        try:
            return datetime.strptime(text.strip(), self._form).date().isoformat()  # noqa: DTZ007
        except ValueError:
            return None
