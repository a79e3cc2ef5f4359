from __future__ import annotations

import io
from time import process_time

import pytest

from jobsvc.kinds.csv.format import CsvFormat
from jobsvc.kinds.csv.header import distinct, read_header, read_opening


def columns(data: bytes) -> list[str]:
    return read_header(io.BytesIO(data), CsvFormat()).columns


def test_a_column_without_a_name_is_named_by_its_place_and_one_with_an_earlier_name_is_numbered() -> None:
    names, warnings = distinct(["a", "", "b", "a", " ", "a", "column_2", "a_2"])
    assert names == ["a", "column_3", "b", "a_3", "column_5", "a_4", "column_2", "a_2"]
    assert len(set(names)) == len(names)
    assert warnings == [
        "columns without a name were named by their place: column_3, column_5",
        "columns with the name of an earlier one were numbered: a_3, a_4",
    ]


def test_names_that_are_distinct_stay_as_they_are() -> None:
    assert distinct(["date", " Date", "b "]) == (["date", " Date", "b "], [])


def test_one_name_for_all_columns_of_a_wide_header_takes_a_moment() -> None:
    width = 50_000
    begun = process_time()
    names = distinct(["a"] * width).names
    # To try the numbers from the first on each time takes minutes, and days with the longest header.
    assert process_time() - begun < 20
    assert (len(set(names)), names[-1]) == (width, f"a_{width}")


def test_a_number_that_a_column_has_already_is_passed_over() -> None:
    assert distinct(["a", "a", "a_3", "a", "a"]).names == ["a", "a_2", "a_3", "a_4", "a_5"]
    assert distinct(["", "column_1", "column_1"]).names == ["column_2", "column_1", "column_1_2"]


@pytest.mark.parametrize(
    ("data", "offset", "lines", "separator"),
    [
        (b"sep=;\r\na;b\r\n", 7, 1, ";"),
        (b"\xef\xbb\xbfsep=\t\na\tb\n", 9, 1, "\t"),
        (b"SEP=|\ra|b\r", 6, 1, "|"),
        (b"sep=;", 5, 1, ";"),
        (b"sep=;x\n", 0, 0, None),
        (b"separator\n", 0, 0, None),
        (b"\xef\xbb\xbfa\n", 3, 0, None),
        (b"", 0, 0, None),
    ],
)
def test_an_opening_is_a_byte_order_mark_and_a_line_that_names_the_separator(
    data: bytes, offset: int, lines: int, separator: str | None
) -> None:
    opening = read_opening(io.BytesIO(data))
    assert (opening.offset, opening.lines, opening.separator) == (offset, lines, separator)


def test_a_separator_line_is_obeyed_and_left_out() -> None:
    header = read_header(io.BytesIO(b"sep=;\r\na;b\r\n1;2\r\n"), CsvFormat())
    assert header.columns == ["a", "b"]
    assert (header.start["offset"], header.start["line"]) == (12, 3)


def test_a_byte_order_mark_wins_over_the_encoding() -> None:
    assert read_header(io.BytesIO(b"\xef\xbb\xbfd\xc3\xa9,b\n"), CsvFormat(encoding="cp1252")).columns == ["dé", "b"]


def test_blank_lines_before_the_header_are_left_out() -> None:
    header = read_header(io.BytesIO(b"\r\n,,\na,b\n1,2\n"), CsvFormat())
    assert header.columns == ["a", "b"]
    assert (header.start["offset"], header.start["line"]) == (9, 4)


@pytest.mark.parametrize("added", [b"_line,_error", b"_job_id,_row,_date"])
def test_columns_that_the_service_adds_are_left_out(added: bytes) -> None:
    assert columns(added + b",a,b\n") == ["a", "b"]
    assert columns(added + b"\n") == added.decode().split(",")
