"""The rows of a CSV file from any row boundary on, each with its place in the file.

Blocks of plain lines, which need no CSV parser at all, take a fast path; every
other block goes through `csv.reader`. Both give the same items, which a test
checks on generated files. A row that can't be a row is refused with its reason
and reading goes on behind it:

* a field of more than FIELD_LIMIT characters,
* bytes that don't decode, a NUL, a carriage return inside an unquoted field,
* another number of fields than the header's,
* a quoted field that is never closed. Only its first line is refused, since the
  lines that it swallowed are most likely rows; they are read again, unless the
  file is full of such fields.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, BinaryIO, TypeAlias

from jobsvc.kinds.contract import Block, Cursor, JobFailed, Refused
from jobsvc.kinds.csv_blocks import ParsedBlock, PlainBlock
from jobsvc.kinds.csv_encodings import UTF_8
from jobsvc.kinds.csv_text import shortened
from jobsvc.kinds.lines import MAX_ROW_BYTES, LineBuffer

ROWS_PER_BLOCK = 2000

FIELD_LIMIT = 131_072
"""The longest field, in characters: the csv module's own default."""

ADDED_COLUMNS = ("line", "error")
"""What a list of refused rows has before the original columns."""

TOO_LONG = f"the row is longer than {MAX_ROW_BYTES} bytes"

MAX_ROW_LINES = 10_000
"""The most lines that a row may have."""

READ_IN_VAIN_BYTES = 8 * 1024 * 1024
READ_IN_VAIN_FACTOR = 8
"""So much, and so many times what a job has covered, may be read for rows that turn out to have no end."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# The csv module has one limit for the whole process. Rows are bounded by
# MAX_ROW_BYTES and fields by FIELD_LIMIT here, where the row's end is known.
csv.field_size_limit(2 * MAX_ROW_BYTES)

# What makes a line more than its fields with delimiters between them: quotes, and
# what JSON must escape. Carriage returns are looked at apart, for CRLF.
_SPECIAL = bytes(set(range(32)) - {10, 13}) + b'"\\'

RowParser: TypeAlias = Callable[[int, list[str]], Any]
"""Makes the item of a row from its number (from 1) and fields; may raise Refused."""

PlainParser: TypeAlias = Callable[[int, list[str]], list[Any] | None]
"""Makes the items of plain lines (without ends; the first has the given row number), all at once.

None says that a line needs a closer look, by the RowParser.
"""


class CsvSource:
    """Reads `file`, of `size` bytes, from `cursor` (None: from its header on).

    `columns` is the header, if an earlier run has read it. Raises JobFailed
    where the header is no header.

    A file that begins with the columns `line` and `error` is a list of refused
    rows that somebody has mended: these two columns are left out.
    """

    def __init__(
        self,
        file: BinaryIO,
        cursor: Cursor | None,
        columns: list[str] | None,
        *,
        encoding: str = UTF_8,
        delimiter: str = ",",
    ) -> None:
        self._encoding = encoding
        self._is_utf_8 = encoding == UTF_8
        self._delimiter = delimiter
        if cursor is None or columns is None:
            cursor, columns = read_header(file, encoding, delimiter)
        self.columns = columns
        self._cursor = cursor
        self._extra: int = cursor["extra"]
        """Columns at the beginning of each row that are left out."""
        self._buffer = LineBuffer(file, cursor["offset"])
        self._special = _SPECIAL.replace(delimiter.encode(), b"")

    def blocks(
        self, row: RowParser, plain: PlainParser | None = None, rows: Callable[[], int] = lambda: ROWS_PER_BLOCK
    ) -> Iterator[Block]:
        """The remaining rows, about `rows()` of them in a block."""
        if self._extra:
            plain = None
        while self._buffer.fill(wanted := rows()):
            block: PlainBlock | ParsedBlock | None = None
            if not self._buffer.overlong and plain is not None:
                block = self._plain_block(plain, wanted)
            if block is None:
                block = self._parsed_block(row, wanted)
            yield block
            if self._buffer.overlong:
                self._buffer.consume_overlong()
            else:
                self._buffer.consume(block.line_count)
            self._cursor = block.end(len(block.items)).cursor

    def _plain_block(self, plain: PlainParser, wanted: int) -> PlainBlock | None:
        lines = self._buffer.lines[:wanted]
        text = self._plain_text(b"".join(lines))
        if text is None or max(map(len, lines)) > FIELD_LIMIT:
            return None
        rows = text.removesuffix("\n").split("\n")
        if set(map(str.count, rows, repeat(self._delimiter))) != {len(self.columns) - 1} or "" in rows:
            return None
        items = plain(self._cursor["row"], rows)
        if items is None:
            return None
        return PlainBlock(self._cursor, items, lines)

    def _plain_text(self, data: bytes) -> str | None:
        """The text of lines in which nothing needs a CSV parser or an escape in JSON; None where something does."""
        try:
            if not self._is_utf_8:
                # What matters is the text, and other bytes can stand for it; in UTF-8 none can.
                data = data.decode(self._encoding).encode()
            if len(data.translate(None, self._special)) != len(data):
                return None
            data = data.replace(b"\r\n", b"\n")
            return None if b"\r" in data else data.decode()
        except UnicodeError:
            return None

    def _parsed_block(self, row: RowParser, wanted: int) -> ParsedBlock:
        block = ParsedBlock(self._cursor)
        if self._buffer.overlong:
            block.refuse(self._buffer.overlong, 1, TOO_LONG)
            return block
        # Rows that begin in these lines; the last may go on in lines yet to be read.
        available = min(len(self._buffer.lines), wanted)
        feed = _Feed(self._buffer, self._encoding)
        reader = csv.reader(feed, delimiter=self._delimiter)
        lines = self._buffer.lines
        while (first := block.line_count) < available:
            if len(lines[first]) > MAX_ROW_BYTES:
                # Whether such a line is held at all depends on where reads fall: it is
                # never parsed, and ends the block because the reader has not seen it.
                block.refuse(len(lines[first]), 1, TOO_LONG)
                return block
            feed.begin_row()
            try:
                fields = next(reader)
                error = ""
            except csv.Error as problem:
                fields, error = [], f"not readable as CSV: {problem}"
            if feed.cut_short:
                # It ends the reader, and the block: what was looked at so far may be much.
                self._refuse_cut_short(block, feed)
                return block
            count = reader.line_num - first
            length = len(lines[first]) if count == 1 else sum(map(len, lines[first : first + count]))
            error = error or feed.problem or self._problem(fields, length)
            if not error:
                try:
                    block.add(row(block.next_row, fields[self._extra :]), length, count)
                    continue
                except Refused as refused:
                    error = str(refused)
            block.refuse(length, count, error)
        return block

    def _refuse_cut_short(self, block: ParsedBlock, feed: _Feed) -> None:
        """Refuse the line with a quoted field that is never closed; the lines that it swallowed are read again.

        In a file that is full of such lines, reading each again would take for ever:
        there, many of the swallowed lines are refused with it.
        """
        lines = self._buffer.lines
        first = block.line_count
        block.read_in_vain = feed.row_bytes
        in_vain = self._cursor["in_vain"] + feed.row_bytes
        patience = in_vain <= READ_IN_VAIN_BYTES + READ_IN_VAIN_FACTOR * self._buffer.offset
        last = first + 1 if patience else min(first + ROWS_PER_BLOCK, len(lines))
        reason = "a quoted field is never closed"
        if not feed.at_end:
            reason = f"{reason} within {MAX_ROW_BYTES} bytes and {MAX_ROW_LINES} lines"
        for line in lines[first:last]:
            block.refuse(len(line), 1, reason)

    def _problem(self, fields: list[str], length: int) -> str:
        if length > FIELD_LIMIT:
            if length > MAX_ROW_BYTES:
                return TOO_LONG
            for name, field in zip(self.columns, fields[self._extra :], strict=False):
                if len(field) > FIELD_LIMIT:
                    return (
                        f"the field {shortened(name)!r} has {len(field)} characters; at most {FIELD_LIMIT} are allowed"
                    )
        found, expected = len(fields), len(self.columns) + self._extra
        if found != expected:
            return "the line is empty" if not found else f"{found} fields where the header has {expected}"
        return ""


class _Feed:
    """Hands lines to csv.reader as text, reading on where a row needs it, and notes what is wrong with them."""

    def __init__(self, buffer: LineBuffer, encoding: str) -> None:
        self._buffer = buffer
        self._next = 0
        self._encoding = encoding
        self.begin_row()
        self.at_end = False

    def begin_row(self) -> None:
        self.row_bytes = 0
        self.row_lines = 0
        self.problem = ""
        self.cut_short = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.row_bytes > MAX_ROW_BYTES or self.row_lines >= MAX_ROW_LINES:
            self.cut_short = True
            raise StopIteration
        if self._next == len(self._buffer.lines) and not self._buffer.more():
            # The reader asks only while it is inside a row: none is begun where no line is.
            self.cut_short = True
            self.at_end = self._buffer.at_end
            raise StopIteration
        data = self._buffer.lines[self._next]
        if len(data) > MAX_ROW_BYTES:
            self.cut_short = True
            raise StopIteration
        self._next += 1
        self.row_bytes += len(data)
        self.row_lines += 1
        try:
            text = data.decode(self._encoding)
        except UnicodeDecodeError as error:
            self.problem = f"byte {data[error.start]:#04x} doesn't decode as {self._encoding}: {error.reason}"
            return data.decode(self._encoding, "replace")
        if "\0" in text:
            self.problem = "there is a NUL in the row"
        return text


def read_header(file: BinaryIO, encoding: str, delimiter: str) -> tuple[Cursor, list[str]]:
    """The columns of a file, and the cursor behind its header. Raises JobFailed if there is no header to be read."""
    file.seek(0)
    marked = encoding == UTF_8 and file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK
    start = len(BYTE_ORDER_MARK) if marked else 0
    buffer = LineBuffer(file, start)
    if not buffer.fill(1) or buffer.overlong:
        raise JobFailed(
            f"not readable as CSV: its first line is longer than {MAX_ROW_BYTES} bytes"
            if buffer.overlong
            else "not readable as CSV: there is no header"
        )
    feed = _Feed(buffer, encoding)
    reader = csv.reader(feed, delimiter=delimiter)
    try:
        columns = next(reader)
    except csv.Error as error:
        raise JobFailed(f"not readable as CSV: the header can't be read: {error}") from error
    problem = feed.problem or ("a quoted field is never closed" if feed.cut_short else "")
    if problem:
        raise JobFailed(f"not readable as CSV: the header can't be read: {problem}")
    _check_header(columns)
    offset = start + sum(map(len, buffer.lines[: reader.line_num]))
    extra = len(ADDED_COLUMNS) if tuple(columns[:2]) == ADDED_COLUMNS and len(columns) > len(ADDED_COLUMNS) else 0
    return {"offset": offset, "row": 1, "line": 1 + reader.line_num, "extra": extra, "in_vain": 0}, columns[extra:]


def _check_header(columns: list[str]) -> None:
    if not any(name.strip() for name in columns):
        raise JobFailed("the header is empty: the first line must name the columns")
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise JobFailed(f"the header has duplicate names: {shortened(', '.join(map(repr, twice)))}")
