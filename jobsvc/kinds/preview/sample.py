"""The beginning of a file, in memory, and where it may be cut."""

from __future__ import annotations

import io
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO, Literal

from jobsvc.kinds.csv.detection import SAMPLE_BYTES


@dataclass(frozen=True)
class Sample:
    """`data` is what would be stored of the file so far: unpacked, and UTF-8 if it was UTF-16."""

    data: bytes
    whole: bool
    """Whether the file ends here."""

    @cached_property
    def lines(self) -> bytes:
        """As much of it as reads alike however the file goes on, but for rows of several lines.

        The last line of a part may be cut anywhere, also in the middle of a character. A carriage return
        at its end may be a line's end, or half of one.
        """
        if self.whole:
            return self.data
        end = max(self.data.rfind(b"\n"), self.data.rfind(b"\r", 0, len(self.data) - 1))
        return self.data[: end + 1]

    @property
    def tells_delimiter(self) -> bool:
        """Whether a job that has the whole file detects the delimiter by the same bytes."""
        return self.whole or len(self.data) >= SAMPLE_BYTES + OPENING_BYTES

    def open(self, _mode: Literal["rb"] = "rb", /) -> closing[BinaryIO]:
        """Its lines, as a job opens its upload."""
        return closing(self.file())

    def file(self) -> BinaryIO:
        return io.BytesIO(self.lines)


OPENING_BYTES = 16
"""A byte order mark and a line `sep=` have fewer; the delimiter is detected after them."""
