"""Consecutive rows of a CSV file, and where the job stands behind each of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from jobsvc.kinds.contract import Block, Cursor, End, Refusal


class CsvBlock(Block):
    """Rows of a file from the cursor `start` on."""

    items: list[Any]
    line_count: int
    """Lines of the file that the block covers."""

    def __init__(self, start: Cursor) -> None:
        self._start = start
        self.first_row: int = start["row"]
        self.first_line: int = start["line"]
        self.offset: int = start["offset"]
        self.next_row, self.next_line = self.first_row, self.first_line

    def _end(self, row: int, line: int, offset: int, refused: Sequence[Refusal] = ()) -> End:
        return End(self._start | {"offset": offset, "row": row, "line": line}, offset, refused)


class PlainBlock(CsvBlock):
    """Every line is a row and none is refused by the source. Offsets are only added up when asked for."""

    def __init__(self, start: Cursor, items: list[Any], lines: list[bytes]) -> None:
        super().__init__(start)
        self.items = items
        self._lines = lines
        self.line_count = len(lines)
        self.next_row += len(lines)
        self.next_line += len(lines)

    def end(self, taken: int) -> End:
        offset = self.offset + sum(map(len, self._lines[:taken]))
        return self._end(self.first_row + taken, self.first_line + taken, offset)

    def refusal(self, item: int, error: str) -> Refusal:
        index = item - self.first_row
        offset = self.offset + sum(map(len, self._lines[:index]))
        return Refusal(item, error, self.first_line + index, offset, len(self._lines[index]))


class ParsedBlock(CsvBlock):
    """Rows as csv.reader sees them; some may be refused already."""

    def __init__(self, start: Cursor) -> None:
        super().__init__(start)
        self.items: list[Any] = []
        self._item_rows: list[int] = []
        self._refused: list[Refusal] = []
        self._starts = [(self.offset, self.first_line)]
        self.read_in_vain = 0
        """Bytes that were read for the block's last row, which turned out to have no end."""
        self.line_count = 0

    def add(self, item: Any, length: int, lines: int) -> None:
        self.items.append(item)
        self._item_rows.append(self.next_row)
        self._advance(length, lines)

    def refuse(self, length: int, lines: int, error: str) -> None:
        """Add a row of `length` bytes on `lines` lines as refused."""
        row = self.next_row
        self._advance(length, lines)
        self._refused.append(self.refusal(row, error))

    def end(self, taken: int) -> End:
        return self._end_before(self._item_rows[taken] if taken < len(self._item_rows) else self.next_row)

    def end_behind(self, item: int) -> End:
        return self._end_before(item + 1)

    def _end_before(self, row: int) -> End:
        offset, line = self._starts[row - self.first_row]
        end = self._end(row, line, offset, [refusal for refusal in self._refused if refusal.item < row])
        if row == self.next_row:
            end.cursor["in_vain"] += self.read_in_vain
        return end

    def taken_before(self, item: int) -> int:
        return bisect_left(self._item_rows, item)

    def refusal(self, item: int, error: str) -> Refusal:
        index = item - self.first_row
        offset, line = self._starts[index]
        return Refusal(item, error, line, offset, self._starts[index + 1][0] - offset)

    def _advance(self, length: int, lines: int) -> None:
        self.line_count += lines
        self.next_row += 1
        self.next_line += lines
        self._starts.append((self._starts[-1][0] + length, self.next_line))
