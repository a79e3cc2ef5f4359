"""Writing CSV that reads back as it was."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from typing import Any


def csv_text(rows: Sequence[Sequence[Any]], delimiter: str = ",") -> str:
    """Rows as CSV text with newlines at the line ends, quoted where they need it."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    text = out.getvalue()
    if "\r" not in text:
        return text
    # The writer puts no quotes around a carriage return that is not part of its line end,
    # and the reader would take it for a line end.
    out = io.StringIO(newline="")
    plain = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    quoting = csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer = quoting if any("\r" in str(field) for field in row) else plain
        writer.writerow(row)
    return out.getvalue()


_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?")


def defused(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: what would be one gets an apostrophe before it."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def shortened(text: str, most: int = 80) -> str:
    """Text from a file, for a message: at most `most` characters of it."""
    return text if len(text) <= most else text[: most - 1] + "…"


def as_sent(data: bytes, encoding: str, most: int) -> str:
    """The text of a row, without its end; what is no text is shown as Python writes it. Up to `most` characters."""
    return shortened(data[: 8 * most].decode(encoding, "backslashreplace").rstrip("\r\n"), most)
