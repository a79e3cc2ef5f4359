"""Forms, wherever reads cut them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.sansio.multipart import File, MultipartDecoder

from jobsvc.web.uploads.multipart import Malformed, read_form


class Cut:
    """Hands out a body in pieces of the given sizes, and then the rest."""

    def __init__(self, body: bytes, sizes: list[int]) -> None:
        self._file = io.BytesIO(body)
        self._sizes: Iterator[int] = iter(sizes)

    def receive_into(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer[: next(self._sizes, 1 << 30)])


class Taken:
    def __init__(self) -> None:
        self.files: list[tuple[str, str, bytes]] = []
        self._data = b""

    def open(self, event: File) -> Taken:
        self._event, self._data = event, b""
        return self

    def write(self, data: bytes | memoryview) -> None:
        self._data += data

    def close(self) -> None:
        self.files.append((self._event.name, self._event.filename, self._data))


def parsed(
    body: bytes, boundary: str, sizes: list[int], buffer: int = 2000
) -> tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]]:
    taken = Taken()
    fields = read_form(Cut(body, sizes).receive_into, boundary, taken.open, taken.close, buffer=buffer)
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


def test_fields_are_bounded_together() -> None:
    field = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"x" * 300_000 + b"\r\n"
    with pytest.raises(Malformed, match="more than 500000 bytes"):
        parsed(field * 2 + b"--b--\r\n", "b", [])


@pytest.mark.parametrize("buffer", [16, 17, 64, 1_000_000])
@pytest.mark.parametrize("filler", [b"1,2\n", b"1,2\r\n", b"--bound", b"\r\n--bound", b"x--boundary"])
def test_a_file_is_the_same_however_large_the_buffer_is(buffer: int, filler: bytes) -> None:
    content = filler * 2000
    assert parsed(form(content, "boundary"), "boundary", [], buffer) == ([("a", "v")], [("file", "x.csv", content)])


def test_what_the_decoder_holds_back_leaves_room_for_more() -> None:
    boundary = "b" * 5000
    content = b"\r\n--" + b"b" * 4999 + b"\r\n--" + b"b" * 4998
    assert parsed(form(content, boundary), boundary, [])[1] == [("file", "x.csv", content)]


def test_a_file_is_not_copied_through_the_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = 0
    receive_data = MultipartDecoder.receive_data

    def counted(decoder: MultipartDecoder, data: bytes | None) -> None:
        nonlocal decoded
        decoded += len(data or b"")
        receive_data(decoder, data)

    monkeypatch.setattr(MultipartDecoder, "receive_data", counted)
    content = b"1,2\r\n" * 100_000
    assert parsed(form(content, "boundary"), "boundary", [], 10_000)[1] == [("file", "x.csv", content)]
    assert decoded < 20_000


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-8", "us-ascii"])
def test_a_field_is_read_in_the_charset_that_it_names(charset: str) -> None:
    headers = b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=' + charset.encode()
    text = "é" if charset != "us-ascii" else "e"
    assert parsed(part(headers, text.encode(charset)), "b", []) == ([("a", text)], [])
