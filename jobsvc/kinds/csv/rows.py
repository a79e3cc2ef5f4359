"""Reading the rows of a CSV file one at a time, where a row may have any fault.

A row begins on the line after the row before it, wherever reading began: which
lines are a row depends on the file and its options alone. Where a quote makes a row
impossible, only its first line is refused. The lines that the quote swallowed are most
likely rows, and are read again; in a file that is full of such lines, they are refused
too (`CsvSource._refuse_swallowing`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from jobsvc.kinds.csv.format import CsvFormat, Quotes
from jobsvc.kinds.csv.lines import LineBuffer
from jobsvc.kinds.errors import Reason

MAX_ROW_LINES = 10_000
"""The most lines that a row may have."""

NOT_CLOSED = "a quoted field is never closed"
AFTER_QUOTE = "there is text after a closing quote"
LAZY_OR_NONE = "; quotes=lazy or quotes=none takes such quote marks as characters"
NONE = "; quotes=none takes such quote marks as characters"

OPEN_AT_END = NOT_CLOSED + NONE
"""Why a row is refused that asked for more lines than the file has."""

# The limit is the whole process's. Rows are bounded in this file, where their end is known.
csv.field_size_limit(64 * 1024 * 1024)


@dataclass(slots=True)
class Row:
    """A row that was read: its fields, or why there are none."""

    fields: list[str]
    lines: int
    """How many lines of the file it has."""
    error: str = ""
    """Why it can't be taken."""
    swallowed: int = 0
    """Lines after its first that a quote made part of it; they are to be read again."""
    in_vain: int = 0
    """How many bytes these are."""


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The rows that a part of a file begins with. Blank lines before and between them count as lines, not as rows."""

    rows: list[Row]
    lines: int
    """How many lines there are to the end of the last row; of all that was read, if there is no row."""
    end: int
    """The offset after these lines."""
    overlong: bool
    """Whether the next line is too long to be held."""


def first_rows(file: BinaryIO, offset: int, form: CsvFormat, most: int) -> FirstRows:
    """Up to `most` rows of a file from `offset` on. They end before a line that is too long to be held."""
    buffer = LineBuffer(file, offset, form.max_row_bytes)
    reader = RowReader(buffer, form)
    rows: list[Row] = []
    lines = at = 0
    while len(rows) < most:
        if at == len(buffer.lines):
            if at:
                # Lines that were looked at are let go of: memory is bounded however many blank ones there are.
                buffer.consume(at)
                at = 0
            if not buffer.fill(1) or buffer.overlong:
                break
        if reader.is_blank(at):
            at += 1
            lines += 1
            continue
        row = reader.read(at)
        rows.append(row)
        at += row.lines
        lines += row.lines
    buffer.consume(at)
    return FirstRows(rows, lines, buffer.offset, buffer.overlong > 0)


class RowReader:
    """Reads rows from the lines of `buffer`, which gets more of them where a row needs it."""

    def __init__(self, buffer: LineBuffer, form: CsvFormat) -> None:
        self._buffer = buffer
        self._form = form
        self._too_long = form.too_long
        self._blank = form.delimiter.encode() + b"\r\n"
        self._closing = re.compile(f'""|"(?=[\r\n{re.escape(form.delimiter)}]|\\Z)')

    def is_blank(self, first: int) -> bool:
        """Whether the line `first` has nothing in it, or nothing but delimiters."""
        line = self._buffer.lines[first]
        return len(line) <= self._form.max_row_bytes and not line.strip(self._blank)

    def read(self, first: int) -> Row:
        """The row that begins on the line `first`."""
        line = self._buffer.lines[first]
        if len(line) > self._form.max_row_bytes:
            # Whether such a line is held at all depends on where reads fall, so it is never parsed.
            return Row([], 1, self._too_long)
        if self._form.quotes is Quotes.NONE or b'"' not in line:
            text, problem = self._decoded(line)
            return Row(text.rstrip("\r\n").split(self._form.delimiter), 1, problem)
        feed = _Feed(self, first)
        try:
            fields = self._lazy(feed) if self._form.quotes is Quotes.LAZY else next(self._strict(feed))
        except (csv.Error, StopIteration):
            return Row([], 1, self._unreadable(feed), feed.lines - 1, feed.bytes - len(line))
        return Row(fields, feed.lines, self._too_long if feed.bytes > self._form.max_row_bytes else feed.problem)

    def _strict(self, feed: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(feed, delimiter=self._form.delimiter, strict=True)

    def _lazy(self, feed: Iterator[str]) -> list[str]:
        """The fields of one row. Raises StopIteration where a quote is not closed."""
        delimiter = self._form.delimiter
        fields: list[str] = []
        text, at = next(feed), 0
        while True:
            if text.startswith('"', at):
                field, text, at = self._enclosed(feed, text, at + 1)
            else:
                end = text.find(delimiter, at)
                end = len(text.rstrip("\r\n")) if end < 0 else end
                field, at = text[at:end], end
            fields.append(field)
            if not text.startswith(delimiter, at):
                return fields
            at += 1

    def _enclosed(self, feed: Iterator[str], text: str, at: int) -> tuple[str, str, int]:
        """A quoted field, from `at` on, after its quote; returns it, the text that it ends in, and where."""
        pieces: list[str] = []
        while True:
            found = self._closing.search(text, at)
            if found is None:
                pieces.append(text[at:])
                text, at = next(feed), 0
                continue
            pieces.append(text[at : found.start()])
            at = found.end()
            if found[0] == '"':
                return "".join(pieces), text, at
            pieces.append('"')

    def _unreadable(self, feed: _Feed) -> str:
        if not feed.cut_short:
            return AFTER_QUOTE + LAZY_OR_NONE
        if feed.at_end:
            return OPEN_AT_END
        text = f"{NOT_CLOSED} within {self._form.max_row_bytes} bytes and {MAX_ROW_LINES} lines{NONE}"
        return Reason(text, group=text)

    def _decoded(self, line: bytes) -> tuple[str, str]:
        """The text of a line, and what is wrong with it."""
        try:
            text = line.decode(self._form.encoding)
            return text, "there is a NUL in the row" if "\0" in text else ""
        except UnicodeDecodeError as error:
            wrong = f"doesn't decode as {self._form.encoding}; encoding names another, such as cp1252"
            problem = Reason(f"byte {line[error.start]:#04x} {wrong}", group=f"a byte {wrong}")
            return line.decode(self._form.encoding, "replace"), problem


class _Feed:
    """Hands the lines of one row to its parser as text, and notes what is wrong with them."""

    def __init__(self, reader: RowReader, first: int) -> None:
        self._reader = reader
        self._buffer = reader._buffer
        self._next = first
        self.bytes = 0
        self.lines = 0
        self.problem = ""
        self.cut_short = False
        """Whether the row asked for a line that it does not get."""
        self.at_end = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        longest = self._reader._form.max_row_bytes
        if self.bytes > longest or self.lines >= MAX_ROW_LINES:
            self.cut_short = True
            raise StopIteration
        if self._next == len(self._buffer.lines) and not self._buffer.more():
            self.cut_short = True
            self.at_end = self._buffer.at_end
            raise StopIteration
        line = self._buffer.lines[self._next]
        if len(line) > longest:
            self.cut_short = True
            raise StopIteration
        self._next += 1
        self.bytes += len(line)
        self.lines += 1
        text, problem = self._reader._decoded(line)
        self.problem = self.problem or problem
        return text
