"""Finding out what separates the fields of a CSV file, from its first rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.header import opened, read_opening
from jobsvc.kinds.csv.rows import first_rows

NAMES = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}
"""The delimiters that can be detected. Those that are rarer in text come first."""

_NOTHING = "".join(NAMES).encode() + b"\r\n"

ONE_COLUMN = (",", "\t", ";", "|")

SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 200


def detected_delimiter(file: BinaryIO, form: CsvFormat) -> str:
    """The delimiter with which the rows fit the header best.

    If none separates anything in the header, there is one column. Then it is a delimiter
    that stands nowhere in the sample, a comma if possible: rows may have the others as
    text. A file that names its delimiter itself (`sep=;`) has that one.
    """
    opening = read_opening(file)
    if opening.separator is not None:
        return opening.separator
    file.seek(opening.offset)
    sample = file.read(SAMPLE_BYTES)
    if len(sample) == SAMPLE_BYTES:
        # Its last line may be cut in the middle.
        whole = sample.rstrip(b"\r\n")
        whole = sample[: max(whole.rfind(b"\n"), whole.rfind(b"\r")) + 1]
        sample = whole or sample
    form = opened(form, opening)
    fits = {delimiter: _fit(_widths(sample, replace(form, delimiter=delimiter))) for delimiter in NAMES}
    best = max(NAMES, key=lambda delimiter: fits[delimiter])
    if fits[best][1] > 1:
        return best
    if not sample.strip(_NOTHING):
        return ","
    return next((delimiter for delimiter in ONE_COLUMN if delimiter.encode() not in sample), ",")


def _widths(sample: bytes, form: CsvFormat) -> list[int]:
    """How many fields the header and the rows have; 0 for one that is no row. None where nothing is separated."""
    if form.delimiter.encode() not in sample:
        return []
    return [len(row.fields) for row in first_rows(io.BytesIO(sample), 0, form, SAMPLE_ROWS).rows]


def _fit(widths: Sequence[int]) -> tuple[float, int]:
    """How well rows fit their header, from 0 to 1, and the header's width. A short row fits half."""
    if not widths or widths[0] < 2:
        return 0.0, 1
    header, rows = widths[0], widths[1:]
    points = [1.0 if width == header else 0.5 if 1 < width < header else 0.0 for width in rows]
    return (sum(points) / len(rows) if rows else 1.0), header
