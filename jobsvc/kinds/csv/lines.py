"""Reading a file line by line from any offset, in bounded memory.

A line ends with LF, CRLF, or CR alone; the last one may lack its end. Lines keep
their ends, so their lengths add up to offsets.
"""

from __future__ import annotations

import re
from typing import BinaryIO

READ_BYTES = 256 * 1024
"""How much is read at a time."""

LINE_BYTES = 128
"""When there are so many bytes for each line that is wanted, no more is read, however few lines that is."""

_END = re.compile(rb"\r\n|[\r\n]")


class LineBuffer:
    """The lines of `file` from `offset` on.

    `lines` were read and are not yet consumed; the first of them is at `offset`. A line
    that is too much longer than `longest` bytes to be held never enters `lines`: when it
    is next, `lines` is empty and `overlong` is its length in bytes.
    """

    def __init__(self, file: BinaryIO, offset: int, longest: int) -> None:
        self.offset = offset
        self.lines: list[bytes] = []
        self.overlong = 0
        self.at_end = False
        """Whether the file has been read to its end."""
        self._file = file
        self._longest = longest
        self._tail = b""
        file.seek(offset)

    def fill(self, count: int) -> bool:
        """Read until `count` lines are there, as far as the file and the bound on memory allow.

        Returns whether there is anything to consume.
        """
        pending = sum(map(len, self.lines))
        most = max(READ_BYTES, count * LINE_BYTES)
        while (before := len(self.lines)) < count and pending < most and self.more():
            pending += sum(map(len, self.lines[before:]))
        return bool(self.lines) or self.overlong > 0

    def more(self) -> bool:
        """Read on. Returns whether lines were added."""
        before = len(self.lines)
        while not self.at_end and len(self.lines) == before:
            # A carriage return at its end may be a line's end, or half of one.
            if len(self._tail) > self._longest and not self._tail.endswith(b"\r"):
                if not self.lines:
                    self._measure_overlong()
                return False
            self._read()
        return len(self.lines) > before

    def consume(self, count: int, offset: int | None = None) -> None:
        """Forget the first `count` lines. The next one begins at `offset`, if the caller knows that."""
        self.offset = self.offset + sum(map(len, self.lines[:count])) if offset is None else offset
        del self.lines[:count]

    def consume_overlong(self) -> None:
        self.offset += self.overlong
        self.overlong = 0

    def _read(self) -> None:
        data = self._file.read(READ_BYTES)
        if not data:
            self.at_end = True
            if self._tail:
                self.lines.append(self._tail)
                self._tail = b""
            return
        # Of bytes, splitlines knows these three ends and no others.
        lines = (self._tail + data).splitlines(keepends=True)
        self._tail = b"" if lines[-1].endswith(b"\n") else lines.pop()
        self.lines += lines

    def _measure_overlong(self) -> None:
        """Read past the end of the line that `_tail` begins."""
        length = len(self._tail)
        self._tail = b""
        while data := self._file.read(READ_BYTES):
            if data.endswith(b"\r"):
                data += self._file.read(1)
            end = _END.search(data)
            if end:
                length += end.end()
                self._file.seek(end.end() - len(data), 1)
                break
            length += len(data)
        else:
            self.at_end = True
        self.overlong = length
