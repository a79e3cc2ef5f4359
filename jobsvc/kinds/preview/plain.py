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

ROWS_IN_VAIN = 50
"""The same, where rows may each be read to the end before they turn out to be none."""

SECONDS = 0.5
"""For reading a sample once more."""

Numbered = tuple[int, list[str]]


class PlainRows(CsvWork):
    """The items are the rows as they are, with their numbers: what a kind gets that does one row at a time."""

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(numbered, wanted=lambda: rows_at_a_time(self.source.columns))

    def shown(self, item: Numbered) -> Mapping[str, Any]:
        return {"data": by_column(self.source.columns, item[1])}


def numbered(row: int, fields: list[str]) -> Numbered:
    return row, fields


def rows_at_a_time(columns: Sequence[str]) -> int:
    return max(1, min(ROWS_AT_A_TIME, FIELDS_AT_A_TIME // (len(columns) + 1)))


def by_column(columns: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    """Fields by the names of their columns. Where a row may have more than the header, the others are numbered."""
    found = dict(zip(columns, fields, strict=False))
    for place in range(len(columns) + 1, len(fields) + 1):
        name = f"column_{place}"
        while name in found:
            name += "_"
        found[name] = fields[place - 1]
    return found


def fields_of(sample: Sample, form: CsvFormat, last: int) -> dict[int, list[str]]:
    """The fields of all rows up to the number `last` that have as many as the header; of fewer, if they are wide.

    Raises JobFailed if the header can't be read.
    """
    found: dict[int, list[str]] = {}
    taken = 0
    with suppress(OutOfTime):
        for batch in _batches(sample, form):
            for row, fields in batch.items:
                taken += len(fields)
                if row > last or taken > FIELDS_AT_A_TIME:
                    return found
                found[row] = fields
    return found


def refused_by(sample: Sample, form: CsvFormat) -> int:
    """How many rows a reader with this format refuses.

    Raises OutOfTime, and JobFailed if the header can't be read.
    """
    count = 0
    for batch in _batches(sample, form, ROWS_IN_VAIN):
        refused = batch.end(len(list(batch.items))).refused
        count += len(refused)
        if not sample.whole and any(refusal.error == OPEN_AT_END for refusal in refused):
            # What follows is read otherwise where the file goes on.
            break
    return count


class OutOfTime(Exception):
    """There was no time to read all."""


def _batches(sample: Sample, form: CsvFormat, most: int = ROWS_AT_A_TIME) -> Iterator[Batch]:
    """Raises OutOfTime."""
    until = monotonic() + SECONDS
    source = CsvSource(sample.file(), None, None, form)
    for batch in source.batches(numbered, wanted=lambda: min(most, rows_at_a_time(source.columns))):
        yield batch
        if monotonic() > until:
            raise OutOfTime
