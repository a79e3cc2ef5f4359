"""The header of a CSV file: the names of its columns, and where its rows begin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO, NamedTuple

from jobsvc.kinds.csv.batches import CsvCursor
from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.rows import first_rows
from jobsvc.kinds.csv.text import shortened
from jobsvc.kinds.errors import JobFailed

REFUSED_COLUMNS = ("_line", "_error")
"""What a list of refused rows has before the original columns."""

EXPORTED_COLUMNS = ("_job_id", "_row", "_date")
"""What an export has before the columns of the jobs."""

NO_HEADER = "there is no header"

UNREADABLE = "not readable as CSV: the header can't be read: "

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_SEPARATOR = re.compile(rb"sep=([\t!#-/:-@\[\]^_`{-~ ])(?:\r\n|[\r\n]|\Z)", re.IGNORECASE)
"""Excel's own first line."""


@dataclass(frozen=True)
class Header:
    """`columns` are distinct names; `start` is where the first row begins, or blank lines before it."""

    columns: list[str]
    start: CsvCursor
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Opening:
    """What stands before the header: `offset` bytes on `lines` lines."""

    offset: int
    lines: int
    marked: bool
    """Whether a byte order mark says that the file is UTF-8."""
    separator: str | None
    """What a line `sep=` names."""


def read_opening(file: BinaryIO) -> Opening:
    """A byte order mark and a line `sep=`, if they are there."""
    file.seek(0)
    head = file.read(16)
    offset = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    separator = _SEPARATOR.match(head, offset)
    if separator is None:
        return Opening(offset, 0, offset > 0, None)
    return Opening(separator.end(), 1, offset > 0, separator[1].decode())


def opened(form: CsvFormat, opening: Opening) -> CsvFormat:
    """The format, as far as the file's opening says it itself."""
    return replace(
        form,
        encoding="utf-8" if opening.marked else form.encoding,
        delimiter=opening.separator or form.delimiter,
    )


def read_header(file: BinaryIO, form: CsvFormat) -> Header:
    """Raises JobFailed if there is no header to be read."""
    opening = read_opening(file)
    form = opened(form, opening)
    found = first_rows(file, opening.offset, form, 1)
    if not found.rows:
        why = f"its first line is longer than {form.max_row_bytes} bytes" if found.overlong else NO_HEADER
        raise JobFailed(f"not readable as CSV: {why}")
    row = found.rows[0]
    if row.error:
        raise JobFailed(f"{UNREADABLE}{row.error}")
    added = next((len(names) for names in (REFUSED_COLUMNS, EXPORTED_COLUMNS) if _begins(row.fields, names)), 0)
    columns = distinct(row.fields[added:])
    start = CsvCursor(offset=found.end, row=1, line=1 + opening.lines + found.lines, extra=added, in_vain=0)
    return Header(columns.names, start, columns.warnings)


def _begins(fields: Sequence[str], names: Sequence[str]) -> bool:
    return tuple(fields[: len(names)]) == tuple(names) and len(fields) > len(names)


class Columns(NamedTuple):
    """The names of columns, none of them missing or there twice, and warnings that say which were replaced."""

    names: list[str]
    warnings: list[str]


def distinct(names: Sequence[str]) -> Columns:
    """Names that are missing, or there twice, are replaced."""
    taken = {name for name in names if name.strip()}
    columns: list[str] = []
    unnamed: list[str] = []
    renamed: list[str] = []
    seen: dict[str, int] = {}
    """By name, how many numbers of it are not free any more: a header may have one name half a million times."""
    for place, name in enumerate(names, 1):
        if not name.strip():
            columns.append(_free("column", place, taken)[0])
            unnamed.append(columns[-1])
        elif name in seen:
            free, seen[name] = _free(name, seen[name] + 1, taken)
            columns.append(free)
            renamed.append(columns[-1])
        else:
            columns.append(name)
            seen[name] = 1
    warnings = []
    if unnamed:
        warnings.append(f"columns without a name were named by their place: {shortened(', '.join(unnamed), 500)}")
    if renamed:
        warnings.append(f"columns with the name of an earlier one were numbered: {shortened(', '.join(renamed), 500)}")
    return Columns(columns, warnings)


def _free(base: str, number: int, taken: set[str]) -> tuple[str, int]:
    """`base` with that number, or with the next that is free; and the number. The name is taken from now on."""
    while (name := f"{base}_{number}") in taken:
        number += 1
    taken.add(name)
    return name, number
