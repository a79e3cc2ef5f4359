from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.csv.detection import SAMPLE_BYTES, detected_delimiter
from jobsvc.kinds.csv.format import CsvFormat, Quotes


def detected(data: bytes, form: CsvFormat | None = None) -> str:
    return detected_delimiter(io.BytesIO(data), form or CsvFormat())


@pytest.mark.parametrize(
    ("data", "delimiter"),
    [
        (b"a,b,c\n1,2,3\n", ","),
        (b"a;b;c\n1,5;2,5;3,5\n", ";"),
        (b"a,x;b\n1,5;2,5\n3;4,5\n", ";"),
        (b"title\tyear\nOne, two, three\t1999\nFour, five\t2000\n", "\t"),
        (b"a|b\n1|2,3\n", "|"),
        (b'"last, first";age\n"Doe, Jane";7\n', ";"),
        (b"tags;more,b,c\nx;y,2,3\nx;y,4,5\n", ","),
        (b"a;b;c;d\n1\n2;3\n", ";"),
        (b"name\nO'Neil, Pat\nSmith, Jo\n", "\t"),
        (b"name\nO'Neil,\tPat\nSmith, Jo\n", ";"),
        (b"name\na,b;c|d\te\n", ","),
        (b"a\n1\n2\n", ","),
        (b"a,b,c\n", ","),
        (b"sep=;\na,b;c\n", ";"),
        (b"", ","),
        (b"\n,,\n\n", ","),
        (b"a,b\r1,2\r", ","),
    ],
)
def test_the_delimiter_is_the_one_whose_fields_fit_the_header(data: bytes, delimiter: str) -> None:
    assert detected(data) == delimiter


def test_a_quote_that_is_a_character_does_not_hide_delimiters() -> None:
    data = b'a\tb\n"x\t1\ny"\t2\n' * 3
    assert detected(data, CsvFormat(quotes=Quotes.NONE)) == "\t"


def test_only_a_sample_is_read() -> None:
    file = io.BytesIO(b"a;b\n" + b"1;2\n" * SAMPLE_BYTES)
    assert detected_delimiter(file, CsvFormat()) == ";"
    assert file.tell() <= SAMPLE_BYTES


@settings(deadline=None, max_examples=200)
@given(
    st.integers(2, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.text("ab,;|\t\"' \n", min_size=1, max_size=5), min_size=width, max_size=width),
            min_size=3,
            max_size=8,
        )
    ),
    st.sampled_from(",;\t|"),
)
def test_what_quotes_everything_is_told_apart_whatever_is_in_its_fields(rows: list[list[str]], delimiter: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        [[f"column {at}" for at in range(len(rows[0]))], *rows]
    )
    assert detected(out.getvalue().encode()) == delimiter
