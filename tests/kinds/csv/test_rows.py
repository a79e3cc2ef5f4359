"""The first rows of a file, read at one go."""

from __future__ import annotations

import io
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.csv.format import CsvFormat, Quotes
from jobsvc.kinds.csv.lines import READ_BYTES, LineBuffer
from jobsvc.kinds.csv.rows import FirstRows, Row, RowReader, first_rows
from tests.support.csv_files import limits

TEXTS = st.text('ab,"\n\r', max_size=60).map(str.encode)

LONG = st.text("ab,", min_size=30, max_size=40).map(str.encode)


def one_after_the_other(data: bytes, form: CsvFormat, most: int) -> FirstRows:
    """The same by definition: each line is let go of before the next one is looked at."""
    buffer = LineBuffer(io.BytesIO(data), 0, form.max_row_bytes)
    reader = RowReader(buffer, form)
    rows: list[Row] = []
    lines = 0
    while len(rows) < most and buffer.fill(1) and not buffer.overlong:
        if not reader.is_blank(0):
            rows.append(reader.read(0))
        count = 1 if reader.is_blank(0) else rows[-1].lines
        lines += count
        buffer.consume(count)
    return FirstRows(rows, lines, buffer.offset, buffer.overlong > 0)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(TEXTS | LONG, max_size=4).map(b"".join),
    st.sampled_from(Quotes),
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(5, 50),
)
def test_they_are_the_same_as_one_after_the_other(
    data: bytes, quotes: Quotes, most: int, read: int, longest: int
) -> None:
    form = CsvFormat(quotes=quotes, max_row_bytes=longest)
    with limits(read=read):
        assert first_rows(io.BytesIO(data), 0, form, most) == one_after_the_other(data, form, most)


def test_memory_is_bounded_however_many_blank_lines_come_first() -> None:
    blank = b"," * 99 + b"\n"
    file = io.BytesIO(blank * (32 * READ_BYTES // len(blank)) + b"a,b\n")
    tracemalloc.start()
    try:
        found = first_rows(file, 0, CsvFormat(), 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [row.fields for row in found.rows] == [["a", "b"]]
    assert found.end == len(file.getbuffer())
    assert peak < 8 * READ_BYTES
