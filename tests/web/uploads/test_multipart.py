"""Forms, wherever reads cut them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.sansio.multipart import File

from jobsvc.web.uploads import multipart
from jobsvc.web.uploads.multipart import Malformed, read_form


class Cut(io.RawIOBase):
    """Hands out a body in pieces of the given sizes, and then the rest."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        super().__init__()
        self._file = io.BytesIO(body)
        self._sizes: Iterator[int] = iter(sizes)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._file.read(next(self._sizes, 1 << 30))


class Taken:
    def __init__(self) -> None:
        self.files: list[tuple[str, str, bytes]] = []
        self._data = b""

    def open(self, event: File) -> Taken:
        self._event, self._data = event, b""
        return self

    def write(self, data: bytes) -> None:
        self._data += data

    def close(self) -> None:
        self.files.append((self._event.name, self._event.filename, self._data))


def parsed(body: bytes, boundary: str, sizes: list[int]) -> tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]]:
    taken = Taken()
    fields = read_form(Cut(body, sizes), boundary, taken.open, taken.close)  # type: ignore[arg-type]
    return fields, taken.files


def form(content: bytes, boundary: str, value: bytes = b"v", end: bytes = b"\r\n") -> bytes:
    lines = boundary.encode()
    return (
        b"--" + lines + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + value + b"\r\n"
        b"--" + lines + b'\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n'
        b"Content-Type: text/csv\r\n\r\n" + content + b"\r\n--" + lines + b"--" + end
    )


CONTENTS = [
    b"",
    b"a,b\n1,2\n",
    b"a,b\r\n1,2\r\n",
    b"a\r",
    b"\r\n",
    b"\r\n--",
    b"\r\n--bound",
    b"\r\n--boundar--\r\n",
    b"--boundary--",
    b"\r\n--boundary0--\r\n",
    b"\n\r\r\n--",
]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("boundary", ["boundary", "b", "-" * 40 + "0123456789"])
@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_a_form_is_the_same_wherever_it_is_cut(content: bytes, boundary: str, end: bytes) -> None:
    if b"--" + boundary.encode() in content:
        return
    body = form(content, boundary, end=end)
    for at in range(1, len(body)):
        assert parsed(body, boundary, [at]) == ([("a", "v")], [("file", "x.csv", content)]), at
        assert parsed(body, boundary, [at, 1]) == ([("a", "v")], [("file", "x.csv", content)]), at
    assert parsed(body, boundary, [1] * len(body)) == ([("a", "v")], [("file", "x.csv", content)])


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"b", b"bo", b" ", b"x"]), max_size=12).map(b"".join),
    st.sampled_from(["b", "bo", "bob"]),
    st.lists(st.integers(1, 7), max_size=60),
    st.sampled_from([b"", b" ", b"\t "]),
)
def test_any_content_is_taken_as_it_is(content: bytes, boundary: str, sizes: list[int], space: bytes) -> None:
    if b"--" + boundary.encode() in b"\r\n" + content:
        return
    body = form(content, boundary).replace(
        b"--" + boundary.encode() + b"\r\n", b"--" + boundary.encode() + space + b"\r\n"
    )
    assert parsed(body, boundary, sizes)[1] == [("file", "x.csv", content)]


def part(headers: bytes, content: bytes = b"x") -> bytes:
    return b"--b\r\n" + headers + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


NAMED = b'Content-Disposition: form-data; name="a"'
FILE = b'Content-Disposition: form-data; name="file"; filename="x"'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "breaks off"),
        (b"--b\r\n", "breaks off"),
        (form(b"a,b\n", "b")[:-6], "breaks off"),
        (b"no form at all", "breaks off"),
        (part(b"Content-Type: text/csv"), "no header Content-Disposition"),
        (part(b"Content-Disposition: form-data"), "has no name"),
        (part(b'Content-Disposition: form-data; filename="x"'), "has no name"),
        (part(NAMED + b'; x="\xff"'), "no UTF-8 text"),
        (part(NAMED + b"\r\nContent-Transfer-Encoding: base64"), "'base64'"),
        (part(FILE + b"\r\nContent-Transfer-Encoding: Quoted-Printable"), "'quoted-printable'"),
        (part(NAMED + b"\r\nContent-Type: multipart/mixed; boundary=c"), "parts within parts"),
        (part(NAMED, b"\xff"), "no utf-8 text"),
        (part(NAMED + b"\r\nContent-Type: text/plain; charset=nope"), "no nope text"),
        ((b"--b\r\n" + NAMED + b"\r\n\r\nx\r\n") * 101 + b"--b--\r\n", "more than 100 parts"),
    ],
)
def test_what_is_no_form_is_refused_with_its_reason(body: bytes, why: str) -> None:
    with pytest.raises(Malformed) as raised:
        parsed(body, "b", [])
    assert why in str(raised.value)


def test_fields_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "READ_BYTES", 1000)
    field = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 300_000 + b"\r\n"
    with pytest.raises(Malformed, match="more than 500000 bytes"):
        parsed(field * 2 + b"--b--\r\n", "b", [1000] * 1000)


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "us-ascii"])
def test_a_field_is_read_in_the_charset_that_it_names(charset: str) -> None:
    headers = b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=' + charset.encode()
    text = "é" if charset != "us-ascii" else "e"
    assert parsed(part(headers, text.encode(charset)), "b", []) == ([("a", text)], [])
