from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.contract import JobFailed
from jobsvc.kinds.csv import rows as csv_rows
from jobsvc.kinds.csv import source as csv_source
from jobsvc.kinds.csv.format import CsvFormat, Quotes, Ragged
from jobsvc.kinds.csv.header import BYTE_ORDER_MARK
from jobsvc.kinds.csv.source import CsvSource
from tests.support.csv_files import (
    COLUMNS,
    FORMS,
    HEADER,
    PLAIN_ROWS,
    cursors,
    files,
    limits,
    never,
    parse,
    parse_simple,
    read,
    read_with_stops,
    source,
)

MIB = 1024 * 1024

BATCHES = st.sampled_from([1, 2, 3, 1000])

READS = st.sampled_from([5, 64, 512 * 1024])

LAZY = CsvFormat(quotes=Quotes.LAZY)
NONE = CsvFormat(quotes=Quotes.NONE)


@settings(deadline=None, max_examples=400)
@given(files(), FORMS, BATCHES, READS)
def test_every_path_gives_the_same_items_and_refusals(
    data: bytes, form: CsvFormat, batch: int, read_bytes: int
) -> None:
    with limits(batch=batch, read=read_bytes):
        simple, whole = read(data, form=form), read(data, simple=None, form=form)
        single = read(data, simple=None, rows=never, form=form)
    assert single.whole_batches == 0
    for found in (simple, whole):
        assert (found.items, found.refusals, found.places, found.blank) == (
            single.items,
            single.refusals,
            single.places,
            single.blank,
        )


def test_rows_without_a_fault_are_read_whole_and_others_are_not() -> None:
    for plain in (b"1,2,3\r\n4,5,6", b"1,2,3\r4,5,6\r", b'"1",2,3\n', b"1\\,2,3\n", b"1\t,2,3\n", b'1,"2\n2",3\n'):
        found = read(HEADER + plain)
        assert found.whole_batches == 1, plain
        assert found.items, plain
    for odd in (b"1,2", b"", b",,", b"\xff,2,3", b"no,2,3", b"1\0,2,3", b'"1"x,2,3', b'"1,2,3'):
        assert read(HEADER + odd + b"\n").whole_batches == 0, odd


@settings(deadline=None, max_examples=300)
@given(files(), FORMS, BATCHES, READS)
def test_going_on_from_any_item_reads_what_was_left(data: bytes, form: CsvFormat, batch: int, read_bytes: int) -> None:
    """What was read before the cursor, and with which reads, must not show in how rows are numbered or refused."""
    with limits(batch=batch, read=read_bytes):
        whole = read(data, form=form)
        for cursor in cursors(data, form):
            rest = read(data, cursor, form=form)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"])


@settings(deadline=None, max_examples=300)
@given(files(), FORMS, BATCHES, st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_a_file_read_with_stops_is_the_file_read_in_one_go(
    data: bytes, form: CsvFormat, batch: int, takes: list[int]
) -> None:
    with limits(batch=batch):
        whole = read(data, form=form)
        turn = iter(takes * 1000)
        stopping = read_with_stops(data, lambda: next(turn), form)
    assert stopping.items == whole.items
    assert stopping.refusals == whole.refusals
    assert stopping.blank == whole.blank


@settings(deadline=None, max_examples=200)
@given(files(), FORMS, BATCHES)
def test_a_block_can_be_cut_right_behind_each_row_that_was_refused(data: bytes, form: CsvFormat, batch: int) -> None:
    with limits(batch=batch):
        whole = read(data, form=form)
        for found in source(data, form=form).batches(parse, parse_simple):
            items = list(found.items)
            for refusal in found.end(len(items)).refused:
                end = found.end_after(refusal.item)
                assert end.refused[-1] == refusal
                taken = items[: found.taken_before(refusal.item)]
                assert [item for item in items if item[0] < refusal.item] == taken
                rest = read(data, end.cursor, form=form)
                assert (rest.items, rest.refusals) == whole.from_row(refusal.item + 1)


def test_a_line_over_the_limit_inside_quotes_is_told_apart_alike_however_reads_fall() -> None:
    """The long line is held whole where a read happens to bring all of it, and is too long to be held otherwise."""
    data = HEADER + b"1,2,3\n" * 5 + b'"4\n' + b"x" * 41 + b'",5,6\n7,8,9\n'
    form = CsvFormat(max_row_bytes=20)
    with limits(read=64, batch=1):
        whole = read(data, form=form)
        for cursor in cursors(data, form):
            rest = read(data, cursor, form=form)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"]), cursor


@settings(deadline=None, max_examples=400)
@given(files(), FORMS, BATCHES)
def test_rows_refused_rows_and_blank_lines_cover_every_byte_and_line_once(
    data: bytes, form: CsvFormat, batch: int
) -> None:
    with limits(batch=batch):
        whole = read(data, form=form)
    assert sorted(whole.places) == list(range(1, len(whole.places) + 1))
    header = data.splitlines(keepends=True)[0]
    offset, line, blank = len(header), 2, 0
    ends = [*whole.places.values(), (len(data), 0, 0)]
    for start, length, at in sorted(ends):
        between = data[offset:start]
        assert not between.strip(b",\r\n"), "only blank lines are left out"
        passed = between.splitlines()
        blank += len(passed)
        line += len(passed)
        if length:
            assert at == line
            line += len(data[start : start + length].splitlines())
        offset = start + length
    assert offset == len(data)
    assert whole.blank == blank
    for refusal in whole.refusals:
        assert whole.places[refusal.item] == (refusal.offset, refusal.length, refusal.line)
    refused = {refusal.item for refusal in whole.refusals}
    assert len(refused) == len(whole.refusals)
    assert refused.isdisjoint(row for row, _ in whole.items)


@settings(deadline=None, max_examples=300)
@given(files(), st.sampled_from(list(Quotes)), BATCHES)
def test_a_value_is_what_the_file_has(data: bytes, quotes: Quotes, batch: int) -> None:
    """The fields of an item, written as its dialect writes them, are the bytes of its row."""
    form = CsvFormat(quotes=quotes)
    with limits(batch=batch):
        whole = read(data, form=form)
    for row, fields in whole.items:
        start, length, _ = whole.places[row]
        text = data[start : start + length].decode()
        body = text.rstrip("\r\n") if not text.endswith('"') else text
        unquoted = [body.split(",")]
        if quotes is Quotes.NONE or '"' not in text:
            assert unquoted == [fields]
        elif quotes is Quotes.STRICT:
            assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [fields]
        else:
            # Nothing is lost but the quotes that enclose, and one of each doubled pair.
            assert "".join(fields).replace('"', "") == "".join(_without_delimiters(text, fields)).replace('"', "")


def _without_delimiters(text: str, fields: list[str]) -> list[str]:
    """The text of a row cut where its fields say that delimiters are."""
    found, at = [], 0
    plain = text.replace('"', "")
    for field in fields:
        bare = field.replace('"', "")
        assert plain.startswith(bare, at), (text, fields)
        found.append(bare)
        at += len(bare) + 1
    return found


@settings(deadline=None, max_examples=300)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(
                st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
                | st.sampled_from(["\r", "\n", "\r\n", '"', '""', ",", "'", "\\", " x "]),
                min_size=width,
                max_size=width,
            ).filter(any),
            max_size=8,
        ).map(lambda rows: (width, rows))
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from([Quotes.STRICT, Quotes.LAZY]),
    BATCHES,
)
def test_what_csv_writer_writes_is_read_as_csv_reader_reads_it(
    table: tuple[int, list[list[str]]], quoting: int, quotes: Quotes, batch: int
) -> None:
    width, rows = table
    header = [f"column {number}" for number in range(width)]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerows([header, *rows])
    if "\r" in "".join(map("".join, rows)) and quoting != csv.QUOTE_ALL:
        # The writer leaves a lone carriage return bare, which is a line end to most readers.
        return
    for simple in (None, parse_simple):
        with limits(batch=batch):
            reading = read(
                out.getvalue().encode(),
                make=lambda row, fields: (row, fields),
                simple=simple,
                form=CsvFormat(quotes=quotes),
            )
        assert [fields for _, fields in reading.items] == rows
        assert reading.refusals == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"1,2", "2 fields where the header has 3"),
        (b"1,2,3,4", "4 fields where the header has 3"),
        (b" ", "1 field where the header has 3"),
        (b"1\0,2,3", "there is a NUL in the row"),
        (b"1,\xff,3", "byte 0xff doesn't decode as utf-8"),
        (b'1,2,"3', "a quoted field is never closed; quotes=none takes"),
        (b'"pipe 3" long",2,3', "there is text after a closing quote"),
        (b'"no"w,2,3', "there is text after a closing quote; quotes=lazy or quotes=none takes"),
        (b'"say \\"hi\\" twice",2,3', "there is text after a closing quote"),
        (b"1,2," + b"x" * MIB, f"the row is longer than {MIB} bytes"),
        (b"1,2," + b"x" * 3 * MIB, f"the row is longer than {MIB} bytes"),
        (b"no,2,3", "the kind says no"),
    ],
)
def test_a_row_that_is_no_row_is_refused_with_its_reason_and_place_and_reading_goes_on(line: bytes, why: str) -> None:
    reading = read(HEADER + b'1,2,3\n"4\n4",5,6\n' + line + b"\n7,8,9\n")
    (refusal,) = reading.refusals
    assert refusal.error.startswith(why)
    assert (refusal.item, refusal.line, refusal.offset, refusal.length) == (3, 5, 6 + 6 + 10, len(line) + 1)
    assert reading.items == [(1, ["1", "2", "3"]), (2, ["4\n4", "5", "6"]), (4, ["7", "8", "9"])]


@pytest.mark.parametrize(
    ("line", "lazy", "none"),
    [
        (b'"no"w","2",3', ['no"w', "2", "3"], ['"no"w"', '"2"', "3"]),
        (b'"say \\"hi\\" twice",2,3', ['say \\"hi\\" twice', "2", "3"], ['"say \\"hi\\" twice"', "2", "3"]),
        (b'"a""b",2,"3"', ['a"b', "2", "3"], ['"a""b"', "2", '"3"']),
        (b'x"y,2,3"', ['x"y', "2", '3"'], ['x"y', "2", '3"']),
    ],
)
def test_lazy_and_no_quotes(line: bytes, lazy: list[str], none: list[str]) -> None:
    assert read(HEADER + line + b"\n1,2,3\n", form=LAZY).items == [(1, lazy), (2, ["1", "2", "3"])]
    assert read(HEADER + line + b"\n1,2,3\n", form=NONE).items == [(1, none), (2, ["1", "2", "3"])]


def test_lines_with_nothing_but_delimiters_are_left_out_and_counted() -> None:
    reading = read(HEADER + b'\n1,2,3\n,,\r\n,\n\r\n4,5,6\n"","",""\n\n')
    assert [fields for _, fields in reading.items] == [["1", "2", "3"], ["4", "5", "6"], ["", "", ""]]
    assert reading.blank == 5
    assert reading.refusals == []
    assert [reading.places[row][2] for row in (1, 2, 3)] == [3, 7, 8]


def test_missing_fields_can_be_filled() -> None:
    form = CsvFormat(ragged=Ragged.PAD)
    for odd in (b"", b'"q",5\n'):
        reading = read(HEADER + b"1\n2,3\n" + odd + b"4,5,6\n7,8,9,10\n", form=form)
        assert [fields for _, fields in reading.items if '"' not in fields[0]][:2] == [["1", "", ""], ["2", "3", ""]]
        assert [refusal.error for refusal in reading.refusals] == ["4 fields where the header has 3"]


def test_a_field_of_hundreds_of_kilobytes_is_taken() -> None:
    row = ["1", "é" * 400_000, "3"]
    assert read(HEADER + ",".join(row).encode() + b"\n").items == [(1, row)]


@pytest.mark.parametrize("opening", [b'"1,2,3\n', b'1,"2"2,3\n', b'1,"2\n'])
def test_lines_behind_a_quote_that_makes_no_row_are_rows_again(opening: bytes) -> None:
    reading = read(HEADER + opening + b"4,5,6\n7,8,9")
    assert [(refusal.item, refusal.line) for refusal in reading.refusals] == [(1, 2)]
    assert reading.items == [(2, ["4", "5", "6"]), (3, ["7", "8", "9"])]


def test_a_quote_that_is_closed_by_the_next_one_swallows_nothing() -> None:
    reading = read(HEADER + b'1,"2,3\n4,5,6\n7,"8",9\n')
    (refusal,) = reading.refusals
    assert (refusal.line, refusal.error.partition(";")[0]) == (2, "there is text after a closing quote")
    assert [fields for _, fields in reading.items] == [["4", "5", "6"], ["7", "8", "9"]]


def test_a_quote_that_swallows_more_than_a_row_may_hold_refuses_its_first_line_only() -> None:
    with limits(read=16):
        reading = read(HEADER + b'"1,2,3\n' + b"4,5,6\n" * 20 + b'"7",8,9\n', form=CsvFormat(max_row_bytes=50))
    assert [(refusal.item, refusal.line) for refusal in reading.refusals] == [(1, 2)]
    assert reading.refusals[0].error.startswith("a quoted field is never closed within 50 bytes")
    assert len(reading.items) == 21


def test_many_quotes_that_are_never_closed_do_not_make_every_line_read_to_the_end_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 300
    handed = 0
    hand = csv_rows._Feed.__next__

    def counting(feed: csv_rows._Feed) -> str:
        nonlocal handed
        handed += 1
        return hand(feed)

    monkeypatch.setattr(csv_rows._Feed, "__next__", counting)
    monkeypatch.setattr(csv_source, "READ_IN_VAIN_BYTES", 0)
    with limits(batch=50):
        # Read lazily, none of these quotes is closed by the next one.
        reading = read(HEADER + b'1,2,"z\n' * count, form=LAZY)
    assert len(reading.refusals) + len(reading.items) == count
    assert handed < 12 * count


def test_which_swallowed_lines_are_refused_does_not_depend_on_where_runs_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "READ_IN_VAIN_BYTES", 0)
    monkeypatch.setattr(csv_source, "READ_IN_VAIN_FACTOR", 1)
    data = HEADER + (b'1,2,"z\n' + b"1,2,3\n" * 5) * 20
    with limits(batch=5):
        whole = read(data)
        assert len(whole.refusals) > 20
        for cursor in cursors(data):
            rest = read(data, cursor)
            assert (rest.items, rest.refusals) == whole.from_row(cursor["row"]), cursor


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\xffa,b\n", "byte 0xff doesn't decode"),
        (b"a\0,b\n", "there is a NUL"),
        (b'a,"b\n1,2\n', "a quoted field is never closed"),
        (b'a,"b"c\n1,2\n', "there is text after a closing quote"),
        (BYTE_ORDER_MARK, "there is no header"),
        (b"", "there is no header"),
        (b"\n\r\n,,\n", "there is no header"),
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
    assert list(source.batches(parse)) == []


def test_lines_count_from_behind_a_header_of_several_lines() -> None:
    source = CsvSource(io.BytesIO(b'a,"b\n\nb",c\n1,2\n'), None, None)
    (batch,) = source.batches(parse)
    (refusal,) = batch.end(0).refused
    assert (refusal.line, refusal.offset, refusal.length) == (4, 11, 4)


@settings(deadline=None, max_examples=50)
@given(PLAIN_ROWS, st.sampled_from([";", "\t", "|"]))
def test_another_delimiter_separates_fields_on_all_paths(rows: bytes, delimiter: str) -> None:
    data = (HEADER + rows).replace(b",", delimiter.encode())
    form = CsvFormat(delimiter=delimiter)
    found = [read(data, simple=simple, form=form).items for simple in (parse_simple, None)]
    expected = [(row, fields) for row, fields in read(HEADER + rows, simple=None).items]
    assert found == [expected, expected]


def test_another_encoding_decodes_on_all_paths() -> None:
    data = "a,b,c\né,ü,ß\n".encode("latin-1")
    for simple in (parse_simple, None):
        source = CsvSource(io.BytesIO(data), None, None, CsvFormat(encoding="latin-1"))
        (batch,) = source.batches(parse, simple)
        assert list(batch.items) == [(1, ["é", "ü", "ß"])]


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
            batches = [(list(batch.items), batch.end(0 if not batch.items else 1)) for batch in source.batches(parse)]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 16 * MIB
    assert [item for items, _ in batches for item in items] == [(2, ["1", "2", "3"])]
    (refusal,) = [refusal for _, end in batches for refusal in end.refused]
    assert (refusal.item, refusal.line, refusal.offset, refusal.length) == (1, 2, 6, len(quote) + 50 * MIB + 1)


@pytest.mark.parametrize("row", [b"1,2\n", b'1,"a""2"\n', b"1,2\n\n"])
def test_short_rows_are_padded_to_a_wide_header_in_little_memory(row: bytes) -> None:
    width, count = 10_000, 1000
    header = ",".join(f"c{place}" for place in range(width)).encode() + b"\n"
    wide = CsvSource(io.BytesIO(header + count * row), None, None, CsvFormat(ragged=Ragged.PAD))
    rows, most = 0, 0
    tracemalloc.start()
    try:
        for batch in wide.batches(lambda number, fields: (number, fields), wanted=lambda: 8000):
            items = list(batch.items)
            assert {len(fields) for _, fields in items} <= {width}
            rows, most = rows + len(items), max(most, len(items))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == count
    assert most <= csv_source.FIELDS_AT_A_TIME // width
    # Of all rows at once it is 80 MB.
    assert peak < 16 * MIB


def test_a_row_that_is_wider_than_a_batch_may_be_is_a_batch() -> None:
    width = csv_source.FIELDS_AT_A_TIME + 1
    header = ",".join(f"c{place}" for place in range(width)).encode() + b"\n"
    wide = CsvSource(io.BytesIO(header + b"1\n2\n"), None, None, CsvFormat(ragged=Ragged.PAD, max_row_bytes=2 * MIB))
    assert [[len(fields) for _, fields in batch.items] for batch in wide.batches(parse)] == [[width], [width]]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.lists(
            st.text("aé表ソ|;,\t'\" \\x1", max_size=5) | st.sampled_from(["", "\n", "x\r\ny"]), min_size=3, max_size=3
        ),
        max_size=6,
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "shift_jis", "gb18030", "euc_jp", "latin-1"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=4),
)
def test_any_dialect_and_encoding_is_read_as_it_was_written_also_with_stops(
    rows: list[list[str]], delimiter: str, encoding: str, end: str, takes: list[int]
) -> None:
    rows = [[field.encode(encoding, "ignore").decode(encoding) for field in row] for row in rows]
    if end == "\r":
        rows = [[field.replace("\n", " ").replace("\r", " ") for field in row] for row in rows]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([COLUMNS, *rows])
    # A row of nothing but delimiters, and a blank line, that are left out.
    data = (out.getvalue() + delimiter * 2 + end + end).encode(encoding)
    form = CsvFormat(encoding=encoding, delimiter=delimiter)
    whole = read(data, simple=None, form=form)
    assert ([fields for _, fields in whole.items], whole.refusals, whole.blank) == (rows, [], 2)
    turn = iter(takes * 1000)
    with limits(batch=2):
        stopping = read_with_stops(data, lambda: next(turn), form)
    assert (stopping.items, stopping.refusals, stopping.blank) == (whole.items, [], 2)


COLUMN_NAMES = ["a", "b", "c", "d"]

QUOTABLE = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text('ab,; é|\t\x01\x02[\\"\n', max_size=4), min_size=width, max_size=width).filter(any),
        min_size=1,
        max_size=5,
    )
)


@settings(deadline=None, max_examples=500)
@given(
    QUOTABLE,
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.sampled_from([Quotes.STRICT, Quotes.LAZY]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(",;\t|\x01\x02[ "),
    BATCHES,
)
def test_lines_with_quotes_are_read_alike_by_every_path(
    rows: list[list[str]], quoting: Any, quotes: Quotes, end: str, delimiter: str, batch: int
) -> None:
    if end == "\r":
        rows = [[field.replace("\n", " ") for field in row] for row in rows]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator=end, delimiter=delimiter).writerows(
        [COLUMN_NAMES[: len(rows[0])], *rows]
    )
    form = CsvFormat(quotes=quotes, delimiter=delimiter)
    with limits(batch=batch):
        quick = read(out.getvalue().encode(), form=form)
        slow = read(out.getvalue().encode(), simple=None, rows=never, form=form)
    assert (quick.items, quick.refusals, quick.places) == (slow.items, slow.refusals, slow.places)
    assert [fields for _, fields in quick.items] == rows


@settings(deadline=None, max_examples=500)
@given(
    st.sampled_from([b"a\n", b"a,b\n", b"a,b,c,d\n"]),
    st.lists(st.sampled_from([b"a", b",", b'"', b'"', b'"', b"\n", b"\r\n", b"\r"]), max_size=12).map(b"".join),
    st.sampled_from([Quotes.STRICT, Quotes.LAZY]),
    BATCHES,
)
def test_stray_quotes_are_read_alike_by_every_path(header: bytes, body: bytes, quotes: Quotes, batch: int) -> None:
    form = CsvFormat(quotes=quotes)
    with limits(batch=batch):
        quick = read(header + body, form=form)
        slow = read(header + body, simple=None, rows=never, form=form)
    assert (quick.items, quick.refusals, quick.places) == (slow.items, slow.refusals, slow.places)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (b'"1","2,","3"\r\n"4","","6"', [["1", "2,", "3"], ["4", "", "6"]]),
        (b'1,"2, or 3",3\n4,5,""\n', [["1", "2, or 3", "3"], ["4", "5", ""]]),
        (b'"a ""b""",2,""""\n', [['a "b"', "2", '"']]),
    ],
)
def test_lines_with_quotes_need_no_parser(
    rows: bytes, expected: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source.csv, "reader", None)
    assert [fields for _, fields in read(b"a,b,c\n" + rows).items] == expected


@pytest.mark.parametrize("delimiter", [";", "\t", "\x01", "\x02", "\x03"])
@pytest.mark.parametrize(
    "rows", ['"{d}"{d}"b"\n"c"{d}"d{d}"\n', 'a{d}"b{d}c"\n', '"say ""a"""{d}b\n', '"say ""a"""\n', '"a""{d}b"\n']
)
def test_no_delimiter_is_taken_for_what_stands_for_another_character(delimiter: str, rows: str) -> None:
    data = ("a{d}b\n" + rows).format(d=delimiter).encode()
    form = CsvFormat(delimiter=delimiter)
    quick, slow = read(data, form=form), read(data, simple=None, rows=never, form=form)
    assert (quick.items, quick.refusals) == (slow.items, slow.refusals)


def test_one_who_comes_while_the_run_waits_for_its_turn_gets_a_short_batch_of_faulty_rows_too() -> None:
    wanted = [4000]

    @contextmanager
    def turn() -> Iterator[None]:
        wanted[0] = 1
        yield

    data = HEADER + b"x\n" * 3000
    batch = next(CsvSource(io.BytesIO(data), None, None).batches(parse, wanted=lambda: wanted[0], turn=turn))
    assert len(batch.end(0).refused) == 1
