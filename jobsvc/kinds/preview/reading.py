"""Reading a sample as a job would: its own code, as far as nothing has an effect."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from jobsvc.kinds.batch import Refusal
from jobsvc.kinds.csv.batches import CsvBatch
from jobsvc.kinds.csv.rows import OPEN_AT_END
from jobsvc.kinds.csv.text import as_sent
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.preview.dialect import is_for_quotes
from jobsvc.kinds.preview.sample import Sample

ROWS_SHOWN = 20
REFUSED_SHOWN = 20
REASONS_SHOWN = 20

CHARACTERS_SHOWN = 1024 * 1024
"""About how much of rows is shown: fewer rows, if they are long."""

ROW_CHARACTERS = 1000
"""How much is shown of a refused row."""

ERRORS_KEPT = 1000

SECONDS = 2.0
"""How long a sample is read; then the preview is of what was read."""


class NoPreview(Exception):
    """The items of the kind are no rows of a CSV: only these can be told apart in a part of a file."""


@dataclass
class CountedReason:
    error: str
    """The first of its sort: others differ in values, and in the option that would read them."""
    count: int
    line: int | None
    """Of the first row that was refused for it."""


@dataclass
class RefusedRow:
    line: int | None
    row: int
    error: str
    text: str
    """The row as it was sent, up to 1,000 characters."""


@dataclass
class Reading:
    """What was read. `position` is the offset after the last row, in the sample; counts are of rows."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)
    done: int = 0
    refused: int = 0
    blank: int = 0
    position: int = 0
    for_quotes: int = 0
    first_for_quotes: int = 0
    """The offset of the first row that is refused for its quotes."""
    errors: list[str] = field(default_factory=list)
    """The first reasons, one for each refused row."""
    reasons: dict[Hashable, CountedReason] = field(default_factory=dict)
    refused_rows: list[RefusedRow] = field(default_factory=list)
    too_many: bool = False
    """Whether one more row is refused than may be."""
    ended_early: bool = False
    """Whether there was no time for the rest."""
    characters: int = 0
    """Of the rows that are shown."""


class Reader:
    """Takes the items of `work`, in order; makes no effect. `alike` makes reasons equal that say the same."""

    def __init__(
        self,
        work: CsvWork,
        sample: Sample,
        encoding: str,
        alike: Callable[[str], Hashable],
        *,
        most_refused: int | None,
        error_characters: int,
    ) -> None:
        self._work, self._sample, self._encoding = work, sample, encoding
        self._alike, self._most_refused, self._error_characters = alike, most_refused, error_characters
        self._unshown: list[int] = []
        self.found = Reading()

    def read(self, until: float) -> Reading:
        """All of the sample, or as much as can be read before the moment `until`. Raises NoPreview."""
        until = min(until, monotonic() + SECONDS)
        self.found.position = self._work.source.offset
        for batch in self._work.batches():
            if not isinstance(batch, CsvBatch):
                raise NoPreview
            if not self._take(batch):
                break
            if monotonic() > until:
                self.found.ended_early = self.found.position < len(self._sample.lines)
                break
        return self.found

    def _take(self, batch: CsvBatch) -> bool:
        """Count and show a batch. Returns whether there may be another."""
        found = self.found
        items = list(batch.items)
        end = batch.end(len(items))
        # Where the file goes on, its next lines may make that a row.
        stop = None if self._sample.whole else next((one for one in end.refused if one.error == OPEN_AT_END), None)
        if stop is not None:
            items = items[: batch.taken_before(stop.item)]
            end = batch.end_after(stop.item - 1)
        refusals = {refusal.item: refusal for refusal in end.refused}
        numbers = batch.numbers(len(items))
        late = dict(self._work.foreseen(items))
        refusals |= {number: batch.refusal(number, error) for number, error in late.items()}
        over = self._first_too_many(sorted(refusals))
        if over is not None:
            found.too_many = True
            end = batch.end_after(over)
        for number, item in zip(numbers, items, strict=True):
            if number not in late and (over is None or number < over):
                found.done += 1
                self._show(number, item)
        for number in sorted(refusals):
            if over is None or number <= over:
                self._refuse(refusals[number])
        found.blank += end.blank
        found.position = end.position
        return stop is None and over is None

    def _first_too_many(self, refused: Sequence[int]) -> int | None:
        """The row with which there are more refused ones than there may be."""
        left = None if self._most_refused is None else self._most_refused - self.found.refused
        return refused[left] if left is not None and len(refused) > left else None

    def _show(self, number: int, item: Any) -> None:
        found = self.found
        if len(found.rows) < ROWS_SHOWN and found.characters < CHARACTERS_SHOWN:
            shown = {"row": number, **(self._work.shown(item) or {})}
            found.characters += len(str(shown))
            found.rows.append(shown)

    def _refuse(self, refusal: Refusal) -> None:
        found = self.found
        error = refusal.error[: self._error_characters]
        found.refused += 1
        if is_for_quotes(error):
            found.first_for_quotes = found.first_for_quotes or refusal.offset or 0
            found.for_quotes += 1
        if len(found.errors) < ERRORS_KEPT:
            found.errors.append(error)
        sort = self._alike(refusal.error)
        if sort in found.reasons:
            found.reasons[sort].count += 1
        elif len(found.reasons) < REASONS_SHOWN:
            found.reasons[sort] = CountedReason(error, 1, refusal.line)
        if len(found.refused_rows) < REFUSED_SHOWN:
            start = refusal.offset or 0
            data = self._sample.lines[start : start + (refusal.length or 0)]
            text = as_sent(data, self._encoding, ROW_CHARACTERS)
            found.refused_rows.append(RefusedRow(refusal.line, refusal.item, error, text))
