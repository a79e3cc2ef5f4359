"""How the text of a row is shown, and that it takes no time, whatever is in it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jobsvc.kinds.csv.text import as_sent

SECONDS = 30.0
"""Far more than a process needs to start and to show some rows, and far less than steps that double with each byte."""

SHOWS_ROWS = """
from jobsvc.kinds.csv.text import as_sent
for ends in (b"\\r\\n", b"\\n", b"\\r", b"\\n\\r"):
    for count in (40, 4_000, 400_000):
        for text in (b'"x' + ends * count + b'y"', ends * count, b"x" + ends * count):
            as_sent(text, "utf-8", 1_000)
            as_sent(text, "utf-8", 1_000_000)
"""


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a,b", "a,b"),
        (b"a,b\r\n", "a,b"),
        (b"a,b\n\r\r\n", "a,b"),
        (b'"a\r\n\r\nb"\r\n', '"a\r\n\r\nb"'),
        (b"\r\n", ""),
        (b"\r\na \t\n", "\r\na \t"),
        (b"\xff\n", "\\xff"),
        (b"0123456789\n", "0123456789"),
        (b"01234567890\n", "012345678…"),
    ],
)
def test_a_row_is_shown_without_its_end(data: bytes, text: str) -> None:
    assert as_sent(data, "utf-8", 10) == text


def test_it_takes_no_longer_than_the_row_is_long_however_many_line_ends_are_in_it() -> None:
    # In a process of its own: one that looks for the end of a text can't be interrupted.
    subprocess.run([sys.executable, "-c", SHOWS_ROWS], check=True, timeout=SECONDS)
