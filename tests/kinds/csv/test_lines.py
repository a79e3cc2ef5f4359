from __future__ import annotations

import io
import re
import tracemalloc
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.csv.lines import READ_BYTES, LineBuffer
from tests.support.csv_files import limits

MIB = 1024 * 1024

TEXTS = st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\r", b"\0", b"0123456789" * 3]), max_size=40).map(
    b"".join
)


def split(data: bytes) -> list[bytes]:
    """Lines by the definition: what ends with LF, CRLF or CR, and the rest."""
    return re.findall(rb"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+\Z", data)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(0, 10), st.integers(1, 7), st.integers(1, 40))
def test_lines_are_what_line_ends_end_however_the_file_is_cut_into_reads(
    data: bytes, start: int, count: int, read: int
) -> None:
    start = min(start, len(data))
    if data[start - 1 : start + 1] == b"\r\n":
        start += 1  # No line begins there.
    with limits(read=read):
        buffer = LineBuffer(io.BytesIO(data), start, MIB)
        found: list[bytes] = []
        while buffer.fill(count):
            assert buffer.offset == start + sum(map(len, found))
            taken = buffer.lines[:count]
            found += taken
            buffer.consume(len(taken))
    assert found == split(data[start:])
    assert buffer.offset == len(data)
    assert buffer.at_end


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.integers(1, 7), st.integers(1, 40), st.integers(1, 40))
def test_a_line_too_long_to_be_held_is_measured_and_passed_by(data: bytes, count: int, read: int, longest: int) -> None:
    with limits(read=read):
        buffer = LineBuffer(io.BytesIO(data), 0, longest)
        lengths: list[int] = []
        while buffer.fill(count):
            if buffer.overlong:
                assert buffer.lines == []
                assert buffer.overlong > longest
                lengths.append(buffer.overlong)
                buffer.consume_overlong()
            else:
                # A line that is longer may be held, but never by more than what one read brings, and half a line end.
                assert max(map(len, buffer.lines)) <= longest + read + 1
                lengths.append(len(buffer.lines[0]))
                buffer.consume(1)
    assert lengths == list(map(len, split(data)))


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(1, 10))
def test_more_says_whether_lines_were_added(data: bytes, read: int) -> None:
    with limits(read=read):
        buffer = LineBuffer(io.BytesIO(data), 0, MIB)
        held = 0
        while buffer.more():
            assert len(buffer.lines) > held
            held = len(buffer.lines)
    assert buffer.lines == split(data)


def test_fill_reads_no_further_than_it_must() -> None:
    file = io.BytesIO(b"short\n" * MIB)
    buffer = LineBuffer(file, 0, MIB)
    buffer.fill(10)
    assert file.tell() == READ_BYTES


def test_a_line_of_50_mb_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long"
    with path.open("wb") as file:
        for _ in range(50):
            file.write(b"x" * MIB)
        file.write(b"\nnext\n")
    with path.open("rb", buffering=0) as opened:
        tracemalloc.start()
        try:
            buffer = LineBuffer(opened, 0, MIB)
            assert buffer.fill(1000)
            assert buffer.overlong == 50 * MIB + 1
            buffer.consume_overlong()
            assert buffer.fill(1000)
            assert buffer.lines == [b"next\n"]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * MIB
