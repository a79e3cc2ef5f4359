"""How a sample is written, and how else it might be read: line ends, the delimiter, quote marks."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic

from jobsvc.kinds.csv.detection import NAMES
from jobsvc.kinds.csv.format import CsvFormat, Quotes
from jobsvc.kinds.csv.header import UNREADABLE
from jobsvc.kinds.csv.rows import AFTER_QUOTE, NOT_CLOSED
from jobsvc.kinds.errors import JobFailed
from jobsvc.kinds.preview.plain import OutOfTime, refused_by
from jobsvc.kinds.preview.sample import Sample

LOOKED_AT_BYTES = 64 * 1024
"""So much after the first row that is refused for its quotes is read once more in each mode."""


@dataclass(frozen=True)
class LineEnds:
    """How many of each there are."""

    lf: int
    crlf: int
    cr: int

    @classmethod
    def of(cls, data: bytes) -> LineEnds:
        crlf = data.count(b"\r\n")
        return cls(data.count(b"\n") - crlf, crlf, data.count(b"\r") - crlf)


@dataclass(frozen=True)
class Delimiter:
    character: str
    name: str
    source: str
    """What says so: `file` (its first line is `sep=`), `parameter`, `detected`, or `default`."""

    @classmethod
    def of(cls, character: str, source: str) -> Delimiter:
        return cls(character, NAMES.get(character, character), source)


@dataclass(frozen=True)
class QuoteMarks:
    """What quote marks mean, and how many rows of the sample are refused for them."""

    mode: str
    refused: int
    refused_rows: dict[str, int] | None
    """How many rows each of the modes refuses, for any reason but those of the kind; None if no row is for quotes."""
    suggestion: str | None
    """The mode that refuses the fewest, if that is another."""


def is_for_quotes(error: str) -> bool:
    return error.removeprefix(UNREADABLE).startswith((AFTER_QUOTE, NOT_CLOSED))


def quote_marks(sample: Sample, form: CsvFormat, refused: int, until: float, first: int = 0) -> QuoteMarks:
    """`refused` is how many rows are refused for their quotes, the header included; `first` is the first's offset.

    A mode that is not tried before the moment `until`, on the monotonic clock, is left out.
    """
    if not refused:
        return QuoteMarks(form.quotes, 0, None, None)
    end = first + LOOKED_AT_BYTES
    part = Sample(sample.lines[:end], sample.whole and len(sample.lines) <= end)
    known: dict[str, int] = {}
    # In the order of how little they change.
    for mode in Quotes:
        if monotonic() >= until:
            break
        with suppress(JobFailed, OutOfTime):
            known[str(mode)] = refused_by(part, replace(form, quotes=mode), until)
    best = min(known, key=lambda mode: known[mode], default=None)
    is_better = best is not None and known[best] < known.get(form.quotes, len(part.lines))
    return QuoteMarks(form.quotes, refused, known, best if is_better else None)
