"""The rows of a CSV file from any row boundary on, each with its place in the file.

A batch takes the first of three paths that can read it whole: simple lines, which need
no CSV parser at all (`simple_lines`); rows without a fault, which `csv.reader` reads at
one go; and rows that are read one by one (`rows`). Only the last refuses rows: the others
leave a batch that may have a fault to it. All give the same items, which a test checks on
generated files.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, TypeAlias

from jobsvc.kinds.batch import Batch
from jobsvc.kinds.csv.batches import CsvCursor, MixedBatch, WholeBatch
from jobsvc.kinds.csv.encodings import UTF_8
from jobsvc.kinds.csv.format import CsvFormat, Quotes, Ragged
from jobsvc.kinds.csv.header import opened, read_header, read_opening
from jobsvc.kinds.csv.lines import LineBuffer
from jobsvc.kinds.csv.rows import Row, RowReader
from jobsvc.kinds.csv.simple_lines import SimpleLines, partly_quoted_lines, plain_lines, quoted_lines, split_lines
from jobsvc.kinds.errors import Reason, Refused

ROWS_PER_BATCH = 2000

ROWS_AT_A_TIME = 1000
"""Rows that are read by one call: enough to make the calls cheap, few enough to be done within a millisecond."""

FIELDS_AT_A_TIME = 200_000
"""Of rows that are padded: they have as many as the header, however few bytes they are. Others have no more than bytes,
of which `LineBuffer` bounds how many there are."""

PADDED = "missing fields at the end of rows were filled with nothing (ragged=pad)"

READ_IN_VAIN_BYTES = 8 * 1024 * 1024
READ_IN_VAIN_FACTOR = 8
"""How many bytes may be read a second time because a quote had swallowed their lines: so many, and so many times
what the job has covered."""

# What JSON must escape, except for quotes and line ends, which have checks of their own.
_ESCAPED = bytes(set(range(32)) - {10, 13}) + b"\\"

RowParser: TypeAlias = Callable[[int, list[str]], Any]
"""Makes the item of a row from its number (from 1) and fields; may raise Refused."""

Items: TypeAlias = Sequence[Any]
"""A list, or another sort of sequence that has `+`: what one kind makes of many rows at once is of one sort."""

RowsParser: TypeAlias = Callable[[int, list[list[str]]], Items | None]
"""Makes the items of rows (the first has the given number), all at once.

None says that a row needs a closer look, by the RowParser.
"""

SimpleParser: TypeAlias = Callable[[int, SimpleLines], Items | None]
"""The same from lines that need no CSV parser."""


class CsvSource:
    """Reads `file` from `cursor` (None: from its header on).

    `columns` is the header, if an earlier run has read it. Raises JobFailed if the
    header can't be read.

    A file may begin with the columns that the service adds: it is one of ours, coming
    back. These columns are left out.
    """

    def __init__(
        self, file: BinaryIO, cursor: CsvCursor | None, columns: list[str] | None, form: CsvFormat | None = None
    ) -> None:
        form = form or CsvFormat()
        self.warnings: list[str] = []
        """What the file's owner should know of it; there may be more while it is read."""
        if cursor is None or columns is None:
            header = read_header(file, form)
            cursor, columns = header.start, header.columns
            self.warnings += header.warnings
        self._form = opened(form, read_opening(file))
        self.columns = columns
        self._cursor = cursor
        self._extra = cursor["extra"]
        """Columns at the beginning of each row that are left out."""
        self._can_pad = self._form.ragged is Ragged.REFUSE
        self._width = len(columns) + self._extra
        self._most_rows = max(1, FIELDS_AT_A_TIME // self._width) if self._form.ragged is Ragged.PAD else sys.maxsize
        self._buffer = LineBuffer(file, cursor["offset"], self._form.max_row_bytes)
        self._rows = RowReader(self._buffer, self._form)
        self._escaped = _ESCAPED.replace(self._form.delimiter.encode(), b"")

    @property
    def offset(self) -> int:
        """Where the next row begins, in bytes."""
        return self._cursor["offset"]

    def batches(
        self,
        row: RowParser,
        simple: SimpleParser | None = None,
        rows: RowsParser | None = None,
        wanted: Callable[[], int] = lambda: ROWS_PER_BATCH,
        turn: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> Iterator[Batch]:
        """The remaining rows, about `wanted()` of them in a batch, or fewer. Without `rows`, `row` makes them.

        Rows without a fault are made into items within a `turn()`, for parsers that wait for nothing.
        """
        if self._extra or self._form.ragged is Ragged.ANY:
            simple = None
        while self._buffer.fill(count := min(wanted(), self._most_rows)):
            batch: WholeBatch | MixedBatch | None = None
            if not self._buffer.overlong:
                with turn():
                    batch = self._whole_batch(wanted, simple, rows or _each(row))
            if batch is None:
                # Somebody may have come meanwhile who waits for it.
                batch = self._mixed_batch(row, min(count, wanted()))
            yield batch
            self._cursor = batch.next_cursor()
            if self._buffer.overlong:
                self._buffer.consume_overlong()
            else:
                self._buffer.consume(batch.line_count, self._cursor["offset"])

    def _whole_batch(
        self, wanted: Callable[[], int], simple: SimpleParser | None, rows: RowsParser
    ) -> WholeBatch | None:
        """Rows without any fault; None if the first of them may have one.

        They are read in pieces: a call that reads many at once keeps all other threads from
        the interpreter for as long as it takes.
        """
        items: Any = None
        ends: Sequence[int] = range(1, 1)
        first = 0
        while first < (count := min(wanted(), self._most_rows, len(self._buffer.lines))):
            lines = self._buffer.lines[first : min(first + ROWS_AT_A_TIME, count)]
            if first and len(lines) < ROWS_AT_A_TIME and not self._buffer.at_end:
                # A whole number of pieces is inserted by fewer statements. The others begin the next batch.
                break
            found = self._whole_rows(self._cursor["row"] + len(ends), lines, simple, rows)
            if found is None:
                break
            items = found[0] if items is None else items + found[0]
            if isinstance(ends, range) and isinstance(found[1], range):
                # Each row so far is one line.
                ends = range(1, first + len(found[1]) + 1)
            else:
                ends = [*ends, *(first + end for end in found[1])]
            first += len(lines)
            if ends[-1] < first:
                # Its last row goes on in lines that are yet to be read.
                break
        return WholeBatch(self._cursor, items, self._buffer.lines[: ends[-1]], ends) if ends else None

    def _whole_rows(
        self, first: int, lines: list[bytes], simple: SimpleParser | None, rows: RowsParser
    ) -> tuple[Items, Sequence[int]] | None:
        """The items of rows that begin with the row `first`, and with how many lines each ends; None if there may be
        a fault."""
        data = b"".join(lines)
        longest = self._form.max_row_bytes
        text = None if len(data) > longest and max(map(len, lines)) > longest else self._text(data)
        if text is None:
            return None
        if simple is not None and (found := self._simple_lines(data, text)) is not None:
            items = simple(first, found)
            return None if items is None else (items, range(1, len(lines) + 1))
        fields, ends = self._fields(text, len(lines))
        if not fields or (ends[-1] > len(fields) and len(data) > self._form.max_row_bytes):
            return None
        items = rows(first, fields) if self._fit_rows(fields) else None
        return None if items is None else (items, ends)

    def _text(self, data: bytes) -> str | None:
        try:
            text = data.decode(self._form.encoding)
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    def _simple_lines(self, data: bytes, text: str) -> SimpleLines | None:
        """The lines, if no CSV parser is needed to tell their fields apart, and nothing in them is escaped in JSON."""
        # The text counts. In UTF-8 its bytes are always the same; in other encodings other bytes may stand for it.
        judged = data if self._form.encoding == UTF_8 else text.encode()
        if len(judged.translate(None, self._escaped)) != len(judged):
            return None
        width, delimiter = self._width, self._form.delimiter
        if '"' not in text:
            return plain_lines(text, width, delimiter)
        if self._form.quotes is Quotes.NONE:
            return None
        quoted = quoted_lines(text, width, delimiter) if text.startswith('"') else None
        return quoted or partly_quoted_lines(text, width, delimiter)

    def _fields(self, text: str, lines: int) -> tuple[list[list[str]], Sequence[int]]:
        """The fields of the rows in some lines, as far as they have no fault, and with how many lines each ends."""
        if self._form.quotes is Quotes.NONE or '"' not in text:
            delimiter = self._form.delimiter
            return [line.split(delimiter) for line in split_lines(text)], range(1, lines + 1)
        found: list[list[str]] = []
        ends: list[int] = []
        # Where no quote is amiss, a lazy one means what a strict one does.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._form.delimiter, strict=True)
        try:
            for fields in reader:
                found.append(fields)
                ends.append(reader.line_num)
        except csv.Error:
            # A row goes on in lines yet to be read, or has a fault: the next batch begins there.
            pass
        return found, ends

    def _fit_rows(self, rows: list[list[str]]) -> bool:
        """Give rows the width of the header, in place; False if one of them needs a closer look."""
        form, width = self._form, self._width
        widths = set(map(len, rows))
        if 0 in widths or any(not any(fields) for fields in rows if not fields[0]):
            return False
        if form.ragged is Ragged.PAD and max(widths) <= width:
            if min(widths) < width:
                self._note_padding()
            for fields in rows:
                fields.extend([""] * (width - len(fields)))
        elif form.ragged is not Ragged.ANY and widths != {width}:
            return False
        if self._extra:
            if min(widths) < self._extra:
                return False
            for fields in rows:
                del fields[: self._extra]
        return True

    def _mixed_batch(self, row: RowParser, count: int) -> MixedBatch:
        batch = MixedBatch(self._cursor)
        if self._buffer.overlong:
            batch.refuse(self._buffer.overlong, 1, self._form.too_long)
            return batch
        lines = self._buffer.lines
        # Rows that begin in these lines. The last one may go on in lines yet to be read.
        available = min(len(lines), count)
        while (first := batch.line_count) < available:
            if self._rows.is_blank(first):
                batch.leave_out_blank_line(len(lines[first]))
                continue
            found = self._rows.read(first)
            if found.swallowed:
                self._refuse_swallowing(batch, found)
                continue
            length = len(lines[first]) if found.lines == 1 else sum(map(len, lines[first : first + found.lines]))
            error = found.error or self._fit_row(found.fields)
            if not error:
                try:
                    batch.add(row(batch.next_row, found.fields), length, found.lines)
                    continue
                except Refused as refused:
                    error = refused.reason
            batch.refuse(length, found.lines, error)
        return batch

    def _refuse_swallowing(self, batch: MixedBatch, found: Row) -> None:
        """Refuse the line with a quote that makes it no row; the lines that it swallowed are read again.

        In a file that is full of such lines, reading each again would take for ever:
        there, the swallowed lines are refused with it.
        """
        lines, first = self._buffer.lines, batch.line_count
        in_vain = self._cursor["in_vain"] + batch.in_vain + found.in_vain
        may_read_on = in_vain <= READ_IN_VAIN_BYTES + READ_IN_VAIN_FACTOR * batch.stands_at
        batch.refuse(len(lines[first]), 1, found.error, found.in_vain)
        if not may_read_on:
            for line in lines[first + 1 : first + 1 + found.swallowed]:
                batch.refuse(len(line), 1, found.error)

    def _note_padding(self) -> None:
        if PADDED not in self.warnings:
            self.warnings.append(PADDED)

    def _fit_row(self, fields: list[str]) -> str:
        """Give a row the width of the header, in place: `_fit_rows` for one. Returns why not, if that can't be done."""
        count, ragged = len(fields), self._form.ragged
        if ragged is Ragged.PAD and count < self._width:
            fields += [""] * (self._width - count)
            self._note_padding()
        elif (ragged is not Ragged.ANY and count != self._width) or count < self._extra:
            fewer = count < self._width
            hint = "; ragged=pad fills missing ones" if fewer and self._can_pad else ""
            text = f"{count} field{'' if count == 1 else 's'} where the header has {self._width}{hint}"
            return Reason(text, group=f"{'fewer' if fewer else 'more'} fields than the header's {self._width}{hint}")
        del fields[: self._extra]
        return ""


def _each(row: RowParser) -> RowsParser:
    def rows(first: int, found: list[list[str]]) -> Items | None:
        try:
            return [row(first + index, fields) for index, fields in enumerate(found)]
        except Refused:
            return None

    return rows
