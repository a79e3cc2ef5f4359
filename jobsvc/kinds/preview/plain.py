"""The rows of a sample by their fields alone, whatever a kind makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from jobsvc.kinds.batch import Batch
from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.rows import OPEN_AT_END
from jobsvc.kinds.csv.source import FIELDS_AT_A_TIME, CsvSource
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.preview.sample import Sample

ROWS_AT_A_TIME = 2000
"""The clock is looked at after so many."""

FIRST_ROWS = 50
"""So many at first: rows may each be read to the end before they turn out to be none."""

QUICK_SECONDS = 0.05
"""A batch that takes less may be followed by a larger one."""

SECONDS = 0.5
"""For reading a sample once more."""

Numbered = tuple[int, list[str]]


class PlainRows(CsvWork):
    """The items are the rows as they are, with their numbers: what a kind gets that does one row at a time."""

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(numbered, wanted=Pace(self.source.columns))

    def shown(self, item: Numbered) -> Mapping[str, Any]:
        return {"data": by_column(self.source.columns, item[1])}


def numbered(row: int, fields: list[str]) -> Numbered:
    return row, fields


def rows_at_a_time(columns: Sequence[str]) -> int:
    return max(1, min(ROWS_AT_A_TIME, FIELDS_AT_A_TIME // (len(columns) + 1)))


class Pace:
    """How many rows the next batch should have, so that the clock is looked at in time however long they take."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._most = rows_at_a_time(columns)
        self._rows = FIRST_ROWS // 2
        self._asked_at = monotonic()

    def __call__(self) -> int:
        """Called before each batch."""
        asked_at, self._asked_at = self._asked_at, monotonic()
        quick = self._asked_at - asked_at < QUICK_SECONDS
        self._rows = min(self._most, self._rows * 2) if quick else max(1, self._rows // 2)
        return self._rows


def by_column(columns: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Fields by the names of their columns. Where a row may have more than the header, the others are numbered."""
    found = dict(zip(columns, fields, strict=False))
    for place in range(len(columns) + 1, len(fields) + 1):
        name = f"column_{place}"
        while name in found:
            name += "_"
        found[name] = fields[place - 1]
    return found


def fields_of(sample: Sample, form: CsvFormat, last: int, until: float) -> dict[int, list[str]]:
    """The fields of all rows up to the number `last` that have as many as the header; of fewer, if they are wide.

    Reads no further batch after the moment `until`, on the monotonic clock.

    Raises JobFailed if the header can't be read.
    """
    found: dict[int, list[str]] = {}
    taken = 0
    with suppress(OutOfTime):
        for batch in _batches(sample, form, until):
            for row, fields in batch.items:
                taken += len(fields)
                if row > last or taken > FIELDS_AT_A_TIME:
                    return found
                found[row] = fields
    return found


def refused_by(sample: Sample, form: CsvFormat, until: float) -> int:
    """How many rows a reader with this format refuses, if that is found before the moment `until`.

    Raises OutOfTime, and JobFailed if the header can't be read.
    """
    count = 0
    for batch in _batches(sample, form, until):
        refused = batch.end(len(list(batch.items))).refused
        count += len(refused)
        if not sample.whole and any(refusal.error == OPEN_AT_END for refusal in refused):
            # What follows is read otherwise where the file goes on.
            break
    return count


class OutOfTime(Exception):
    """There was no time to read all."""


def _batches(sample: Sample, form: CsvFormat, until: float) -> Iterator[Batch]:
    """Raises OutOfTime."""
    until = min(until, monotonic() + SECONDS)
    source = CsvSource(sample.file(), None, None, form)
    for batch in source.batches(numbered, wanted=Pace(source.columns)):
        yield batch
        if monotonic() > until:
            raise OutOfTime
