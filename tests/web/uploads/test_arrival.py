"""What a file is, and what becomes of it as it arrives."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobsvc.web.uploads.arrival import Arrival
from jobsvc.web.uploads.recognition import HEAD_BYTES, NotReadable

MIB = 1024 * 1024


def arrived(pieces: Iterable[bytes]) -> bytes:
    arrival = Arrival()
    found = [stored for piece in pieces for stored in arrival.feed(piece)]
    return b"".join([*found, *arrival.finish()])


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# A NUL at the beginning makes the mark of UTF-16 that of UTF-32.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: not text.startswith("\0"))

MARKED = st.sampled_from(["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])


@settings(deadline=None, max_examples=200)
@given(TEXTS, MARKED, st.integers(1, 9), st.booleans())
def test_marked_unicode_becomes_utf_8_however_it_is_cut(text: str, codec: str, size: int, packed: bool) -> None:
    data = ("\ufeff" + text).encode(codec)
    if packed:
        data = gzip.compress(data, 1)
    assert arrived(cut(data, size)) == text.encode()


@pytest.mark.parametrize("size", [1, 3, 4096, 100_000])
def test_long_unicode_is_whole_wherever_it_is_cut(size: int) -> None:
    text = "a,é,日本,\U0001f600\r\n" * 5000
    assert arrived(cut(("\ufeff" + text).encode("utf-16-le"), size)) == text.encode()


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("\ufeffa\n".encode("utf-16-le") + b"\x00\xd8" + "x\nb\n".encode("utf-16-le"), [b"a", None, b"b"]),
        ("\ufeffa\nb".encode("utf-16-le") + b"\x00", [b"a", None]),
        ("\ufeffa\n".encode("utf-32-le") + b"\xff\xff\xff\x7f\n\0\0\0b\0\0\0", [b"a", None, b"b"]),
    ],
)
def test_what_is_no_text_spoils_its_own_row_only(data: bytes, rows: list[bytes | None]) -> None:
    found = arrived([data]).splitlines()
    assert len(found) == len(rows)
    for line, expected in zip(found, rows, strict=True):
        if expected is None:
            with pytest.raises(UnicodeDecodeError):
                line.decode()
        else:
            assert line == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a",
        b"a,b\n1,2\n",
        b"\xef\xbb\xbfa,b\n",
        b"[id],[name]\n1,x\n",
        b"{curly},x\n",
        b'"{""a"": 1}",x\n',
        b"<b>,x\n",
        b"PK,fk\n1,2\n",
        b"\x1f",
        b"BZ,x\n",
        b"[1]x,b\n",
        "Grüße,x\n".encode("latin-1"),
        b"\0a\0b,c\n",
        b"x" * 3 * HEAD_BYTES,
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_csv_stays_as_it_is(data: bytes, size: int) -> None:
    assert arrived(cut(data, size)) == data


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "a,b\n")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook (xlsx)"),
        (zipped("a.csv"), "a zip archive"),
        (zipped(), "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 504, "an Excel workbook (xls)"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"\n <!DOCTYPE html><html>", "a web page (HTML)"),
        (b"<HTML>", "a web page (HTML)"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'{"a": 1}', "JSON"),
        (b'\xef\xbb\xbf[{"a": 1}]', "JSON"),
        (b"[1, 2]", "JSON"),
        (b"{}", "JSON"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"PAR1", "a Parquet file"),
        (b"BZh91AY", "a bzip2 file"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        ("a,b\n1,2\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_no_csv_is_named(data: bytes, what: str, packed: bool, size: int) -> None:
    if packed:
        data = gzip.compress(data)
    with pytest.raises(NotReadable) as raised:
        arrived(cut(data, size))
    assert what in str(raised.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (gzip.compress(gzip.compress(b"a,b\n", mtime=0), mtime=0), "gzip within gzip"),
        (gzip.compress(b"a,b\n", mtime=0)[:-3], "ends too early"),
        (gzip.compress(b"a,b\n", mtime=0) + b"\n{}", "damaged"),
        (b"\x1f\x8b", "ends too early"),
        (b"\x1f\x8b,x\n", "damaged"),
    ],
)
def test_gzip_that_can_t_be_unpacked_is_refused_with_its_reason(data: bytes, why: str) -> None:
    with pytest.raises(NotReadable) as raised:
        arrived([data])
    assert why in str(raised.value)


@pytest.mark.parametrize("padding", [b"\n", b"\r\n", b"\0" * 600, b"\0\n"])
def test_a_line_end_after_gzip_is_padding(padding: bytes) -> None:
    data = gzip.compress(b"a,b\n")
    assert arrived([data + padding]) == b"a,b\n"
    assert arrived([data, padding]) == b"a,b\n"


def test_memory_is_flat() -> None:
    text = ("\ufeff" + "a,b\n" * MIB).encode("utf-16-le")
    packed = gzip.compress(text, 1)
    tracemalloc.start()
    try:
        arrival = Arrival()
        total = 0
        for piece in cut(packed, 1000):
            total += sum(map(len, arrival.feed(piece)))
        total += sum(map(len, arrival.finish()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total == 4 * MIB
    assert peak < 4 * MIB
