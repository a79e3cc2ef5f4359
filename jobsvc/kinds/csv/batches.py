"""Consecutive rows of a CSV file, and where the job stands after each of them."""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, TypedDict

from jobsvc.kinds.batch import Batch, End, Refusal


class CsvCursor(TypedDict):
    """Where the next row of a CSV file begins. It is kept with the job, as JSON: keys stay what they are."""

    offset: int
    """In bytes from the file's beginning."""
    row: int
    """Its number; the first row after the header is row 1."""
    line: int
    """The line of the file that it begins on; the header's first is line 1."""
    extra: int
    """Columns at the beginning of each row that are left out, since the service put them there."""
    in_vain: int
    """Bytes read so far that have to be read again, since a quote had swallowed their lines."""


class CsvBatch(Batch):
    """Rows of a file from the cursor `start` on."""

    items: Sequence[Any]
    is_kept = True
    line_count: int
    """Lines of the file that the batch covers."""

    def __init__(self, start: CsvCursor) -> None:
        self._start = start
        self.first_row = start["row"]
        self.first_line = start["line"]
        self.offset = start["offset"]

    @abstractmethod
    def next_cursor(self) -> CsvCursor:
        """Where the row after its last line begins."""

    @abstractmethod
    def numbers(self, taken: int) -> Sequence[int]:
        """The numbers of the rows that the first `taken` items are."""

    def _end(
        self, row: int, line: int, offset: int, refused: Sequence[Refusal] = (), blank: int = 0, in_vain: int = 0
    ) -> End:
        return End(self._cursor(row, line, offset, in_vain), offset, refused, blank)

    def _cursor(self, row: int, line: int, offset: int, in_vain: int = 0) -> CsvCursor:
        start = self._start
        return CsvCursor(offset=offset, row=row, line=line, extra=start["extra"], in_vain=start["in_vain"] + in_vain)


class WholeBatch(CsvBatch):
    """Every row is an item. Offsets are added up only when they are asked for."""

    def __init__(self, start: CsvCursor, items: Sequence[Any], lines: list[bytes], ends: Sequence[int]) -> None:
        """`lines` are those of the rows; the row at index i ends with the first `ends[i]` of them."""
        super().__init__(start)
        self.items = items
        self._lines = lines
        self._ends = ends
        self.line_count = len(lines)
        self._end_offset: int | None = None
        """Once it was asked for; it is so several times."""

    def end(self, taken: int) -> End:
        lines = self._ends[taken - 1] if taken else 0
        return self._end(self.first_row + taken, self.first_line + lines, self._offset(lines))

    def next_cursor(self) -> CsvCursor:
        lines = self._ends[-1]
        return self._cursor(self.first_row + len(self.items), self.first_line + lines, self._offset(lines))

    def end_after(self, item: int) -> End:
        return self.end(item - self.first_row + 1)

    def numbers(self, taken: int) -> Sequence[int]:
        return range(self.first_row, self.first_row + taken)

    def refusal(self, item: int, error: str) -> Refusal:
        index = item - self.first_row
        first, end = self._ends[index - 1] if index else 0, self._ends[index]
        length = sum(map(len, self._lines[first:end]))
        return Refusal(item, error, self.first_line + first, self._offset(first), length)

    def _offset(self, lines: int) -> int:
        if lines < self.line_count:
            return self.offset + sum(map(len, self._lines[:lines]))
        if self._end_offset is None:
            self._end_offset = self.offset + sum(map(len, self._lines))
        return self._end_offset


class MixedBatch(CsvBatch):
    """Rows that were read one by one. Blank lines between them are left out, and some rows refused already."""

    def __init__(self, start: CsvCursor) -> None:
        super().__init__(start)
        self.items: list[Any] = []
        self.next_row, self.line_count = self.first_row, 0
        self.in_vain = 0
        """Bytes that were read for its rows and are to be read again."""
        self._item_rows: list[int] = []
        self._refused: list[Refusal] = []
        self._blank = 0
        self._starts: list[tuple[int, int, int, int]] = []
        """Of each row: its offset and line, the blank lines before it, and what was read in vain before it."""
        self._lengths: list[int] = []
        self._offset = self.offset

    @property
    def stands_at(self) -> int:
        """The offset after its last line so far."""
        return self._offset

    def add(self, item: Any, length: int, lines: int) -> None:
        self.items.append(item)
        self._item_rows.append(self.next_row)
        self._advance(length, lines)

    def refuse(self, length: int, lines: int, error: str, in_vain: int = 0) -> None:
        """Add a row of `length` bytes on `lines` lines as refused; `in_vain` bytes are to be read again."""
        row = self.next_row
        self._advance(length, lines)
        self.in_vain += in_vain
        self._refused.append(self.refusal(row, error))

    def leave_out_blank_line(self, length: int) -> None:
        """Count a line of `length` bytes that is no row, since nothing is in it."""
        self._offset += length
        self.line_count += 1
        self._blank += 1

    def end(self, taken: int) -> End:
        return self._end_before(self._item_rows[taken] if taken < len(self._item_rows) else self.next_row)

    def next_cursor(self) -> CsvCursor:
        return self._cursor(self.next_row, self.first_line + self.line_count, self._offset, self.in_vain)

    def end_after(self, item: int) -> End:
        return self._end_before(item + 1)

    def _end_before(self, row: int) -> End:
        here = self._here() if row == self.next_row else self._starts[row - self.first_row]
        offset, line, blank, in_vain = here
        refused = [refusal for refusal in self._refused if refusal.item < row]
        return self._end(row, line, offset, refused, blank, in_vain)

    def taken_before(self, item: int) -> int:
        return bisect_left(self._item_rows, item)

    def numbers(self, taken: int) -> Sequence[int]:
        return self._item_rows[:taken]

    def refusal(self, item: int, error: str) -> Refusal:
        index = item - self.first_row
        offset, line, _, _ = self._starts[index]
        return Refusal(item, error, line, offset, self._lengths[index])

    def _here(self) -> tuple[int, int, int, int]:
        return self._offset, self.first_line + self.line_count, self._blank, self.in_vain

    def _advance(self, length: int, lines: int) -> None:
        self._starts.append(self._here())
        self._lengths.append(length)
        self._offset += length
        self.line_count += lines
        self.next_row += 1
