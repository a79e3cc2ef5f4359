from __future__ import annotations

import csv
import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds import csv_source
from jobsvc.kinds.contract import JobFailed
from jobsvc.kinds.csv_source import BYTE_ORDER_MARK, FIELD_LIMIT, CsvSource
from jobsvc.kinds.lines import MAX_ROW_BYTES
from tests.support.csv_files import (
    COLUMNS,
    HEADER,
    PLAIN_ROWS,
    cursors,
    files,
    limits,
    parse,
    parse_plain,
    read,
    read_with_stops,
    source,
)

MIB = 1024 * 1024

BLOCKS = st.sampled_from([1, 2, 3, 1000])

LIMITS = st.one_of(
    st.just({}),
    st.builds(
        lambda row_and_field, read: {"row": row_and_field[0], "field": row_and_field[1], "read": read},
        st.sampled_from([(20, 10), (60, 10), (60, 40)]),
        st.sampled_from([5, 64]),
    ),
)
"""A field may never be longer than a row, as with the limits that hold."""


@settings(deadline=None, max_examples=250)
@given(files(), LIMITS, BLOCKS)
def test_the_fast_path_and_the_parser_give_the_same_items_and_refusals(
    data: bytes, small: dict[str, int], block: int
) -> None:
    with limits(**small, block=block):
        fast, parsed = read(data), read(data, plain=None)
    assert fast.items == parsed.items
    assert fast.refusals == parsed.refusals
    assert fast.places == parsed.places


def test_plain_lines_take_the_fast_path_and_others_do_not() -> None:
    assert read(HEADER + b"1,2,3\r\n4,5,6").plain_blocks == 1
    for odd in (b'"1",2,3', b"1\\,2,3", b"1\t,2,3", b"1,2", b"", b"\xff,2,3", b"1\r,2,3", b"no,2,3", b"1,2,3\r\r"):
        assert read(HEADER + odd + b"\n").plain_blocks == 0, odd


@settings(deadline=None, max_examples=200)
@given(files(), BLOCKS)
def test_going_on_from_any_item_reads_what_was_left(data: bytes, block: int) -> None:
    with limits(block=block):
        whole = read(data)
        for cursor in cursors(data):
            rest = read(data, cursor)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"])


@settings(deadline=None, max_examples=200)
@given(files(), BLOCKS, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_a_file_read_with_stops_is_the_file_read_in_one_go(data: bytes, block: int, takes: list[int]) -> None:
    with limits(block=block):
        whole = read(data)
        turn = iter(takes * 1000)
        stopping = read_with_stops(data, lambda: next(turn))
    assert stopping.items == whole.items
    assert stopping.refusals == whole.refusals


@settings(deadline=None, max_examples=200)
@given(files(), BLOCKS)
def test_a_block_can_be_cut_right_behind_each_row_that_was_refused(data: bytes, block: int) -> None:
    with limits(block=block):
        whole = read(data)
        for found in source(data).blocks(parse, parse_plain):
            items = list(found.items)
            for refusal in found.end(len(items)).refused:
                end = found.end_behind(refusal.item)
                assert end.refused[-1] == refusal
                taken = items[: found.taken_before(refusal.item)]
                assert [item for item in items if item[0] < refusal.item] == taken
                rest = read(data, end.cursor)
                assert (rest.items, rest.refusals) == whole.from_row(refusal.item + 1)


@settings(deadline=None, max_examples=300)
@given(files(), BLOCKS, st.sampled_from([(20, 10), (60, 40)]), st.sampled_from([5, 16, 64]))
def test_rows_are_told_apart_alike_from_any_cursor_where_limits_are_passed(
    data: bytes, block: int, row_and_field: tuple[int, int], read_bytes: int
) -> None:
    """What was read before the cursor, and with which reads, must not show in how rows are numbered or refused."""
    row, field = row_and_field
    with limits(row=row, field=field, read=read_bytes, block=block):
        whole = read(data)
        for cursor in cursors(data):
            rest = read(data, cursor)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"])


def test_a_line_over_the_limit_inside_quotes_is_told_apart_alike_however_reads_fall() -> None:
    """The long line is held whole where a read happens to bring all of it, and is too long to be held otherwise."""
    data = HEADER + b"1,2,3\n" * 5 + b'"4\n' + b"x" * 41 + b'",5,6\n7,8,9\n'
    with limits(row=20, field=15, read=64, block=1):
        whole = read(data)
        for cursor in cursors(data):
            rest = read(data, cursor)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"]), cursor


@settings(deadline=None, max_examples=250)
@given(files(), LIMITS, BLOCKS)
def test_rows_and_refused_rows_cover_every_byte_and_line_once(data: bytes, small: dict[str, int], block: int) -> None:
    with limits(**small, block=block):
        whole = read(data)
    assert sorted(whole.places) == list(range(1, len(whole.places) + 1))
    offset = data.index(b"\n") + 1
    for row in sorted(whole.places):
        start, length, line = whole.places[row]
        assert start == offset
        assert line == 1 + data[:start].count(b"\n")
        assert length > 0
        offset += length
        assert data[offset - 1 : offset] == b"\n" or offset == len(data)
    assert offset == len(data)
    for refusal in whole.refusals:
        assert whole.places[refusal.item] == (refusal.offset, refusal.length, refusal.line)
    refused = {refusal.item for refusal in whole.refusals}
    assert len(refused) == len(whole.refusals)
    assert refused.isdisjoint(row for row, _ in whole.items)
    for row, fields in whole.items:
        start, length, _ = whole.places[row]
        lines = io.BytesIO(data[start : start + length]).readlines()
        assert list(csv.reader(line.decode() for line in lines)) == [fields]


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(
                st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
                | st.sampled_from(["\r", "\n", "\r\n", '"', '""', ",", "'", "\\", " x "]),
                min_size=width,
                max_size=width,
            ),
            max_size=8,
        ).map(lambda rows: (width, rows))
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    BLOCKS,
)
def test_what_csv_writer_writes_is_read_as_csv_reader_reads_it(
    table: tuple[int, list[list[str]]], quoting: int, block: int
) -> None:
    width, rows = table
    header = [f"column {number}" for number in range(width)]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerows([header, *rows])
    expected = list(csv.reader(io.StringIO(out.getvalue(), newline="")))
    assert expected == [header, *rows]
    with limits(block=block):
        reading = read(
            out.getvalue().encode(),
            make=lambda row, fields: (row, fields),
            plain=lambda first, lines: [(first + index, line.split(",")) for index, line in enumerate(lines)],
        )
    assert [fields for _, fields in reading.items] == rows
    assert reading.refusals == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1,2", "2 fields where the header has 3"),
        (b"1,2,3,4", "4 fields where the header has 3"),
        (b"", "the line is empty"),
        (b" ", "1 fields where the header has 3"),
        (b"1\0,2,3", "there is a NUL in the row"),
        (b"1,\xff,3", "byte 0xff doesn't decode as utf-8: invalid start byte"),
        (b"1,2\r2,3", "not readable as CSV: new-line character seen in unquoted field"),
        (b'1,2,"3', "a quoted field is never closed"),
        (b"1," + b"x" * (FIELD_LIMIT + 1) + b",3", f"the field 'b' has {FIELD_LIMIT + 1} characters"),
        (b"1,2," + b"x" * MAX_ROW_BYTES, f"the row is longer than {MAX_ROW_BYTES} bytes"),
        (b"1,2," + b"x" * 3 * MAX_ROW_BYTES, f"the row is longer than {MAX_ROW_BYTES} bytes"),
        (b"no,2,3", "the kind says no"),
    ],
)
def test_a_row_that_is_no_row_is_refused_with_its_reason_and_place_and_reading_goes_on(line: bytes, why: str) -> None:
    reading = read(HEADER + b'1,2,3\n"4\n4",5,6\n' + line + b"\n7,8,9\n")
    (refusal,) = reading.refusals
    assert refusal.error.startswith(why)
    assert (refusal.item, refusal.line, refusal.offset, refusal.length) == (3, 5, 6 + 6 + 10, len(line) + 1)
    assert reading.items == [(1, ["1", "2", "3"]), (2, ["4\n4", "5", "6"]), (4, ["7", "8", "9"])]


def test_a_field_may_not_be_longer_than_a_row() -> None:
    assert FIELD_LIMIT < MAX_ROW_BYTES


def test_a_field_at_the_limit_is_taken() -> None:
    row = ["1", "é" * FIELD_LIMIT, "3"]
    assert read(HEADER + ",".join(row).encode() + b"\n").items == [(1, row)]


def test_lines_behind_a_quote_that_is_never_closed_are_rows_again() -> None:
    reading = read(HEADER + b'"1,2,3\n4,5,6\n7,8,9')
    assert [(refusal.item, refusal.line, refusal.error) for refusal in reading.refusals] == [
        (1, 2, "a quoted field is never closed")
    ]
    assert reading.items == [(2, ["4", "5", "6"]), (3, ["7", "8", "9"])]


def test_a_quote_that_swallows_more_than_a_row_may_hold_refuses_its_first_line_only() -> None:
    with limits(row=50, read=16):
        reading = read(HEADER + b'"1,2,3\n' + b"4,5,6\n" * 20 + b'"7",8,9\n')
    assert [(refusal.item, refusal.line) for refusal in reading.refusals] == [(1, 2)]
    assert reading.refusals[0].error.startswith("a quoted field is never closed within 50 bytes")
    assert len(reading.items) == 21


def test_many_quotes_that_are_never_closed_do_not_make_every_line_read_to_the_end_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of these lines closes the quote that is open and opens another."""
    count = 300
    handed = 0
    hand = csv_source._Feed.__next__

    def counting(feed: csv_source._Feed) -> str:
        nonlocal handed
        handed += 1
        return hand(feed)

    monkeypatch.setattr(csv_source._Feed, "__next__", counting)
    monkeypatch.setattr(csv_source, "READ_IN_VAIN_BYTES", 0)
    with limits(block=50):
        reading = read(HEADER + b'x"y,2,"z\n' * count)
    assert len(reading.refusals) + len(reading.items) == count
    assert handed < 12 * count


def test_which_swallowed_lines_are_refused_does_not_depend_on_where_runs_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "READ_IN_VAIN_BYTES", 0)
    data = HEADER + b'x"y,2,"z\n1,2,3\n' * 20
    with limits(block=5):
        whole = read(data)
        for cursor in cursors(data):
            rest = read(data, cursor)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"]), cursor


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\n1,2\n", "the header is empty"),
        (b" , \n1,2\n", "the header is empty"),
        (b"a,b,a,b\n", "the header has duplicate names: 'a', 'b'"),
        (b"\xffa,b\n", "byte 0xff doesn't decode"),
        (b"a\0,b\n", "there is a NUL"),
        (b'a,"b\n1,2\n', "a quoted field is never closed"),
        (b"a\rb,c\n", "the header can't be read: new-line character"),
        (BYTE_ORDER_MARK, "there is no header"),
        (b"", "there is no header"),
        (b"a" * 2 * MIB, "its first line is longer"),
    ],
)
def test_a_header_that_is_none_fails_the_job(data: bytes, why: str) -> None:
    with pytest.raises(JobFailed) as raised:
        CsvSource(io.BytesIO(data), None, None)
    assert why in str(raised.value)


@pytest.mark.parametrize("header", [b"a,b,c", b"a,b,c\r\n", BYTE_ORDER_MARK + b'a,"b",c\n', b'a,"b\n",c\n', b"a,b,c\r"])
def test_a_header_alone_has_no_rows(header: bytes) -> None:
    source = CsvSource(io.BytesIO(header), None, None)
    assert [name.strip() for name in source.columns] == COLUMNS
    assert list(source.blocks(parse)) == []


def test_lines_count_from_behind_a_header_of_several_lines() -> None:
    source = CsvSource(io.BytesIO(b'a,"b\n\nb",c\n1,2\n'), None, None)
    (block,) = source.blocks(parse)
    (refusal,) = block.end(0).refused
    assert (refusal.line, refusal.offset, refusal.length) == (4, 11, 4)


@settings(deadline=None, max_examples=50)
@given(PLAIN_ROWS, st.sampled_from([";", "\t", "|"]))
def test_another_delimiter_separates_fields_on_both_paths(rows: bytes, delimiter: str) -> None:
    data = (HEADER + rows).replace(b",", delimiter.encode())
    found = []
    for plain in (lambda first, lines: [(first + at, line.split(delimiter)) for at, line in enumerate(lines)], None):
        source = CsvSource(io.BytesIO(data), None, None, delimiter=delimiter)
        assert source.columns == COLUMNS
        found.append([item for block in source.blocks(parse, plain) for item in block.items])
    expected = [(row, fields) for row, fields in read(HEADER + rows, plain=None).items]
    assert found == [expected, expected]


def test_another_encoding_decodes_on_both_paths() -> None:
    data = "a,b,c\né,ü,ß\n".encode("latin-1")
    for plain in (lambda first, lines: [(first, lines[0].split(","))], None):
        source = CsvSource(io.BytesIO(data), None, None, encoding="latin-1")
        (block,) = source.blocks(parse, plain)
        assert list(block.items) == [(1, ["é", "ü", "ß"])]


@pytest.mark.parametrize("quote", [b"", b'"'])
def test_a_line_of_50_mb_is_refused_in_little_memory(tmp_path: Path, quote: bytes) -> None:
    path = tmp_path / "long.csv"
    with path.open("wb") as file:
        file.write(HEADER + quote)
        for _ in range(50):
            file.write(b"x" * MIB)
        file.write(b"\n1,2,3\n")
    with path.open("rb", buffering=0) as opened:
        tracemalloc.start()
        try:
            source = CsvSource(opened, None, None)
            blocks = [(list(block.items), block.end(0 if not block.items else 1)) for block in source.blocks(parse)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 * MIB
    assert [item for items, _ in blocks for item in items] == [(2, ["1", "2", "3"])]
    (refusal,) = [refusal for _, end in blocks for refusal in end.refused]
    assert (refusal.item, refusal.line, refusal.offset, refusal.length) == (1, 2, 6, len(quote) + 50 * MIB + 1)
