"""Records that become lines of CSV as they are: the lines are those that a writer of CSV makes."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.kinds.builtin.plain_records import PlainRecords
from jobsvc.kinds.csv.text import csv_text, defused

DAY = "2026-01-31"


def line(data: bytes, columns: int, *, wider: int = 0, spaced: bool = False, careful: bool = False) -> bytes | None:
    plain = PlainRecords("Jon-Doe-baselineCSV-1", columns, wider, spaced=spaced, for_spreadsheet=careful)
    return plain.line(7, DAY.encode(), data)


def written(fields: list[str], wider: int = 0) -> bytes:
    return csv_text([["Jon-Doe-baselineCSV-1", 7, DAY, *fields, *[""] * wider]]).encode()


FIELDS = st.lists(
    st.text(st.sampled_from("ab1.-=+@ ',\"\\\n\r\t\0/é\u2028😀[]"), max_size=4) | st.text(max_size=3),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=500)
@given(FIELDS, st.integers(0, 2), st.booleans(), st.booleans())
def test_a_line_is_what_a_writer_makes_or_none(fields: list[str], wider: int, spaced: bool, careful: bool) -> None:
    text = json.dumps(fields, ensure_ascii=False, separators=(", " if spaced else ",", ":"))
    data = text.encode(errors="surrogatepass")
    found = line(data, len(fields), wider=wider, spaced=spaced, careful=careful)
    if found is not None:
        assert found == written([defused(field) for field in fields] if careful else fields, wider)


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("fields", [["a"], [""], ["", ""], ["x y", "-3.5", "é", "=1"], ["'", "[]", "/"]])
def test_what_needs_no_quotes_is_plain(fields: list[str], spaced: bool) -> None:
    data = json.dumps(fields, ensure_ascii=False, separators=(", " if spaced else ",", ":")).encode()
    assert line(data, len(fields), spaced=spaced) == written(fields)


@pytest.mark.parametrize("field", ["a,b", 'a"b', "a\\b", "a\nb", "a\rb", "\t", "\0"])
def test_what_needs_quotes_or_decoding_is_not_plain(field: str) -> None:
    assert line(orjson.dumps(["a", field]), 2) is None


@pytest.mark.parametrize("field", ["=1", "+a", "-1", "@x"])
def test_what_may_be_a_formula_is_not_plain_for_a_spreadsheet(field: str) -> None:
    data = orjson.dumps(["a", field])
    assert line(data, 2, careful=True) is None
    assert line(data, 2) == written(["a", field])
    assert line(orjson.dumps([field, "a"]), 2, careful=True) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'["a"]',
        b'["a","b","c"]',
        b'["a","b"] ',
        b' ["a","b"]',
        b'["a", "b"]',
        b'["a",1]',
        b'["a",null]',
        b'["a","b"',
        b'["a""b"]',
        b'["a","\x01"]',
        b'["a","b\n"]',
        b'["a","\xff"]',
        b'["a","\xed\xa0\x80"]',
        b'{"a":"b"}',
        b'"a","b"',
    ],
)
def test_what_is_no_record_of_its_job_is_left_to_whoever_reads_json(data: bytes) -> None:
    assert line(data, 2) is None
