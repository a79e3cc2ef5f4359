"""Records as lines of CSV without reading their JSON: those whose fields need neither quotes nor decoding, as most do.

Such a record is `["a","b"]`, and its fields stand in the line as they are: `a,b`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from jobsvc.kinds.csv.text import csv_text

_CHARACTERS = rb'[^"\\,\x00-\x1f]*+'
"""What stands in JSON and in CSV as it is."""

_NO_FORMULA = rb"(?![-+=@])"
"""Of a number, too, which is looked at more closely where it is not plain."""


class PlainRecords:
    """Of one job with `columns`, in an export that is `wider` by so many columns after them.

    With `for_spreadsheet`, a field that may be a formula is not plain.
    """

    __slots__ = ("_after", "_before", "_between", "_match")

    def __init__(self, job_id: str, columns: int, wider: int, *, spaced: bool, for_spreadsheet: bool) -> None:
        """`spaced` says that the database puts spaces between fields."""
        self._between = b'", "' if spaced else b'","'
        self._match = _plain(columns, self._between, for_spreadsheet).fullmatch
        self._before = csv_text([[job_id, ""]]).encode().rstrip(b"\n")
        self._after = b"," * wider + b"\n"

    def line(self, row: int, day: bytes, data: bytes) -> bytes | None:
        """The line of a record; None if it is not plain, or not what it should be."""
        if self._match(data) is None or not (data.isascii() or _is_text(data)):
            return None
        fields = data[2:-2].replace(self._between, b",")
        return b"%b%d,%b,%b%b" % (self._before, row, day, fields, self._after)


@lru_cache(maxsize=64)
def _plain(columns: int, between: bytes, for_spreadsheet: bool) -> re.Pattern[bytes]:
    """What a plain record is, one of at least one column."""
    field = (_NO_FORMULA if for_spreadsheet else b"") + _CHARACTERS
    return re.compile(rb'\["%b(?:%b%b){%d}"\]' % (field, between, field, columns - 1))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
