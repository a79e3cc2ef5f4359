"""The rows of a CSV file from any row boundary on, each with its place in the file.

Blocks take the first of four paths that can read them whole: plain lines, and lines
with quotes around every field, which need no CSV parser at all; rows that
`csv.reader` takes at one go, none of them with a fault; and rows told apart one by
one (`csv_rows`). All give the same items,
which a test checks on generated files.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, BinaryIO, TypeAlias

from jobsvc.kinds.contract import Block, Cursor, Refused
from jobsvc.kinds.csv_blocks import MixedBlock, WholeBlock
from jobsvc.kinds.csv_encodings import UTF_8
from jobsvc.kinds.csv_format import CsvFormat, Quotes, Ragged
from jobsvc.kinds.csv_header import opened, read_header, read_opening
from jobsvc.kinds.csv_rows import Row, RowReader
from jobsvc.kinds.lines import LineBuffer

ROWS_PER_BLOCK = 2000

PADDED = "missing fields at the end of rows were filled with nothing (ragged=pad)"

READ_IN_VAIN_BYTES = 8 * 1024 * 1024
READ_IN_VAIN_FACTOR = 8
"""So much, and so many times what a job has covered, may be read for rows that turn out to be none."""

# What makes a line more than its fields with delimiters between them: quotes, and
# what JSON must escape. Line ends are looked at apart.
_ESCAPED = bytes(set(range(32)) - {10, 13}) + b"\\"
_SPECIAL = _ESCAPED + b'"'

RowParser: TypeAlias = Callable[[int, list[str]], Any]
"""Makes the item of a row from its number (from 1) and fields; may raise Refused."""

RowsParser: TypeAlias = Callable[[int, list[list[str]]], list[Any] | None]
"""Makes the items of rows (the first has the given number), all at once.

None says that a row needs a closer look, by the RowParser.
"""

PlainParser: TypeAlias = Callable[[int, list[str]], list[Any] | None]
"""The same from plain lines, without their ends.

Another one takes lines in which every field is enclosed in quotes, and has none in it.
"""


class CsvSource:
    """Reads `file` from `cursor` (None: from its header on).

    `columns` is the header, if an earlier run has read it. Raises JobFailed
    where the header is no header.

    A file that begins with the columns that the service puts before others' is one of
    ours coming back: these columns are left out.
    """

    def __init__(
        self, file: BinaryIO, cursor: Cursor | None, columns: list[str] | None, form: CsvFormat | None = None
    ) -> None:
        form = form or CsvFormat()
        self.warnings: list[str] = []
        """What the file's owner should know of it; grows while it is read."""
        if cursor is None or columns is None:
            header = read_header(file, form)
            cursor, columns = header.start, header.columns
            self.warnings += header.warnings
        self._form = opened(form, read_opening(file))
        self.columns = columns
        self._cursor = cursor
        self._extra: int = cursor["extra"]
        """Columns at the beginning of each row that are left out."""
        self._can_pad = self._form.ragged is Ragged.REFUSE
        self._width = len(columns) + self._extra
        self._buffer = LineBuffer(file, cursor["offset"], self._form.max_row_bytes)
        self._rows = RowReader(self._buffer, self._form)
        self._special = _SPECIAL.replace(self._form.delimiter.encode(), b"")
        self._escaped = _ESCAPED.replace(self._form.delimiter.encode(), b"")

    def blocks(
        self,
        row: RowParser,
        plain: PlainParser | None = None,
        rows: RowsParser | None = None,
        wanted: Callable[[], int] = lambda: ROWS_PER_BLOCK,
        quoted: PlainParser | None = None,
    ) -> Iterator[Block]:
        """The remaining rows, about `wanted()` of them in a block. Without `rows`, `row` makes them."""
        if self._extra or self._form.ragged is Ragged.ANY:
            plain = quoted = None
        if self._form.quotes is Quotes.NONE:
            quoted = None
        while self._buffer.fill(count := wanted()):
            block: WholeBlock | MixedBlock | None = None
            if not self._buffer.overlong:
                block = self._whole_block(count, plain, quoted, rows or _each(row))
            if block is None:
                block = self._mixed_block(row, count)
            yield block
            if self._buffer.overlong:
                self._buffer.consume_overlong()
            else:
                self._buffer.consume(block.line_count)
            self._cursor = block.end(len(block.items)).cursor

    def _whole_block(
        self, count: int, plain: PlainParser | None, quoted: PlainParser | None, rows: RowsParser
    ) -> WholeBlock | None:
        """Rows without any fault; None if there may be one."""
        lines = self._buffer.lines[:count]
        data = b"".join(lines)
        text = None if max(map(len, lines)) > self._form.max_row_bytes else self._text(data)
        if text is None:
            return None
        first = self._cursor["row"]
        if quoted is not None and text.startswith('"') and (texts := self._all_quoted(data, text)):
            items = quoted(first, texts)
            return None if items is None else WholeBlock(self._cursor, items, lines, range(1, len(lines) + 1))
        if plain is not None and not self._has_any(self._special, data, text):
            texts = _split_lines(text)
            if set(map(str.count, texts, repeat(self._form.delimiter))) != {self._width - 1} or self._blank_in(texts):
                return None
            items = plain(first, texts)
            return None if items is None else WholeBlock(self._cursor, items, lines, range(1, len(lines) + 1))
        found, ends = self._fields(text, len(lines))
        if not found or (ends[-1] > len(found) and len(data) > self._form.max_row_bytes):
            return None
        items = rows(first, found) if self._fit(found) else None
        return None if items is None else WholeBlock(self._cursor, items, lines[: ends[-1]], ends)

    def _text(self, data: bytes) -> str | None:
        try:
            text = data.decode(self._form.encoding)
        except UnicodeDecodeError:
            return None
        return None if "\0" in text else text

    def _all_quoted(self, data: bytes, text: str) -> list[str]:
        """The lines, if each has quotes around every field and nowhere else, and none needs an escape in JSON."""
        if self._has_any(self._escaped, data, text):
            return []
        texts = _split_lines(text)
        # All quotes are accounted for: those at both ends, and two between each field and the next.
        between = set(map(str.count, texts, repeat(f'"{self._form.delimiter}"')))
        quotes = set(map(str.count, texts, repeat('"')))
        if (between, quotes) != ({self._width - 1}, {2 * self._width}):
            return []
        joined = "\n".join(texts)
        at_both_ends = joined.count('"\n"') == len(texts) - 1 and joined[0] == joined[-1] == '"'
        return texts if at_both_ends else []

    def _has_any(self, special: bytes, data: bytes, text: str) -> bool:
        """Whether one of these characters is in it."""
        # What matters is the text, and other bytes can stand for it; in UTF-8 none can.
        judged = data if self._form.encoding == UTF_8 else text.encode()
        return len(judged.translate(None, special)) != len(judged)

    def _blank_in(self, texts: list[str]) -> bool:
        return "" in texts or self._form.delimiter * (self._width - 1) in texts

    def _fields(self, text: str, lines: int) -> tuple[list[list[str]], Sequence[int]]:
        """The fields of the rows in some lines, as far as they have no fault, and with how many lines each ends."""
        if self._form.quotes is Quotes.NONE or '"' not in text:
            delimiter = self._form.delimiter
            return [line.split(delimiter) for line in _split_lines(text)], range(1, lines + 1)
        found: list[list[str]] = []
        ends: list[int] = []
        # Where no quote is amiss, a lazy one means what a strict one does.
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self._form.delimiter, strict=True)
        try:
            for fields in reader:
                found.append(fields)
                ends.append(reader.line_num)
        except csv.Error:
            # At the row that goes on in lines yet to be read, or has a fault: the next block begins there.
            pass
        return found, ends

    def _fit(self, rows: list[list[str]]) -> bool:
        """Bring rows into the width of the header; False if that takes a closer look."""
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

    def _mixed_block(self, row: RowParser, count: int) -> MixedBlock:
        block = MixedBlock(self._cursor)
        if self._buffer.overlong:
            block.refuse(self._buffer.overlong, 1, self._too_long)
            return block
        lines = self._buffer.lines
        # Rows that begin in these lines; the last may go on in lines yet to be read.
        available = min(len(lines), count)
        while (first := block.line_count) < available:
            if self._rows.is_blank(first):
                block.leave_out(len(lines[first]))
                continue
            found = self._rows.read(first)
            if found.swallowed:
                self._refuse_swallowing(block, found)
                continue
            length = len(lines[first]) if found.lines == 1 else sum(map(len, lines[first : first + found.lines]))
            error = found.error or self._problem(found.fields)
            if not error:
                try:
                    block.add(row(block.next_row, found.fields), length, found.lines)
                    continue
                except Refused as refused:
                    error = str(refused)
            block.refuse(length, found.lines, error)
        return block

    def _refuse_swallowing(self, block: MixedBlock, found: Row) -> None:
        """Refuse the line with a quote that makes it no row; the lines that it swallowed are read again.

        In a file that is full of such lines, reading each again would take for ever:
        there, the swallowed lines are refused with it.
        """
        lines, first = self._buffer.lines, block.line_count
        in_vain = self._cursor["in_vain"] + block.in_vain + found.in_vain
        patience = in_vain <= READ_IN_VAIN_BYTES + READ_IN_VAIN_FACTOR * block.stands_at
        block.refuse(len(lines[first]), 1, found.error, found.in_vain)
        if not patience:
            for line in lines[first + 1 : first + 1 + found.swallowed]:
                block.refuse(len(line), 1, found.error)

    def _note_padding(self) -> None:
        if PADDED not in self.warnings:
            self.warnings.append(PADDED)

    @property
    def _too_long(self) -> str:
        return f"the row is longer than {self._form.max_row_bytes} bytes"

    def _problem(self, fields: list[str]) -> str:
        """Bring a row into the width of the header; says what is wrong if that can't be."""
        count, ragged = len(fields), self._form.ragged
        if ragged is Ragged.PAD and count < self._width:
            fields += [""] * (self._width - count)
            self._note_padding()
        elif (ragged is not Ragged.ANY and count != self._width) or count < self._extra:
            found = f"{count} field{'' if count == 1 else 's'} where the header has {self._width}"
            return f"{found}; ragged=pad fills missing ones" if count < self._width and self._can_pad else found
        del fields[: self._extra]
        return ""


def _each(row: RowParser) -> RowsParser:
    def rows(first: int, found: list[list[str]]) -> list[Any] | None:
        try:
            return [row(first + index, fields) for index, fields in enumerate(found)]
        except Refused:
            return None

    return rows


def _split_lines(text: str) -> list[str]:
    """Lines of text in which no line end is quoted, without their ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removesuffix("\n").split("\n")
