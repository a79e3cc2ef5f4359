"""Reading multipart/form-data (RFC 7578) as it comes: fields in memory, a file into what takes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder

READ_BYTES = 256 * 1024
"""How much of a request's body is read at a time; less than MAX_FORM_BYTES, which the decoder takes at most."""

MAX_FORM_BYTES = 500_000
"""How large the fields beside the file may be together."""

MAX_PARTS = 100

TOO_MUCH = f"the fields beside the file have more than {MAX_FORM_BYTES} bytes together"

_AS_IT_IS = {"", "7bit", "8bit", "binary"}
"""Transfer encodings (RFC 2045) that change nothing."""

_LINE_BREAK = re.compile(rb"\r\n|[\r\n]")


class Malformed(Exception):
    """The body is no form, or has in it what can't be used; the text says what, and what is allowed."""


class Sink(Protocol):
    """Where a file goes."""

    def write(self, data: bytes, /) -> object: ...


class _Decoder(MultipartDecoder):
    """Holds back at its buffer's edge whatever may be the beginning of a boundary.

    Werkzeug 3.1.9 gives the carriage return before a boundary away as data where the
    buffer ends within what follows the boundary's name.
    """

    def _last_partial_boundary_index(self, data: bytes | bytearray) -> int:
        edge = max(data.rfind(b"\n"), data.rfind(b"\r"))
        if edge < 0:
            return len(data)
        begun, boundary = bytes(data[edge + 1 :]), b"--" + self.boundary
        if not boundary.startswith(begun):
            rest = begun.removeprefix(boundary)
            if rest == begun or rest.strip(b" \t\v\f") not in (b"", b"-"):
                return len(data)
        return edge - 1 if data[edge - 1 : edge + 1] == b"\r\n" and edge else edge


def read_form(
    stream: BinaryIO, boundary: str, open_file: Callable[[File], Sink], close_file: Callable[[], None]
) -> list[tuple[str, str]]:
    """The fields of a form, in order. `open_file` says where a file goes, `close_file` that it was whole.

    Raises Malformed, and whatever those two raise.
    """
    fields: list[tuple[str, str]] = []
    part: Field | File | None = None
    collected: list[bytes] = []
    taken = parts = 0
    sink: Sink | None = None
    for event in _events(stream, _Decoder(boundary.encode("latin-1"), MAX_FORM_BYTES)):
        if isinstance(event, (Field, File)):
            parts += 1
            if parts > MAX_PARTS:
                raise Malformed(f"the form has more than {MAX_PARTS} parts")
            _check(event)
            part, collected = event, []
            sink = open_file(event) if isinstance(event, File) else None
        elif isinstance(event, Data):
            assert part is not None
            if sink is not None:
                sink.write(event.data)
            else:
                taken += len(event.data)
                if taken > MAX_FORM_BYTES:
                    raise Malformed(TOO_MUCH)
                collected.append(event.data)
            if not event.more_data:
                if sink is not None:
                    close_file()
                else:
                    fields.append((part.name, _text(part, b"".join(collected))))
    return fields


def _events(stream: BinaryIO, decoder: MultipartDecoder) -> Iterator[Event]:
    event: Event = NEED_DATA
    while not isinstance(event, Epilogue):
        data = stream.read(READ_BYTES) if event is NEED_DATA else b""
        try:
            if event is NEED_DATA:
                decoder.receive_data(data or None)
            event = decoder.next_event()
        except RequestEntityTooLarge:
            raise Malformed(TOO_MUCH) from None
        except ValueError as error:
            raise Malformed(_unfinished(decoder, error)) from error
        yield event


def _check(part: Field | File) -> None:
    if not isinstance(part.name, str) or not part.name:
        raise Malformed('a part of the form has no name: its Content-Disposition must say name="…"')
    coding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if coding not in _AS_IT_IS:
        raise Malformed(f"the part {part.name!r} is sent as {coding[:40]!r}; send it as it is (binary)")
    kind = part.headers.get("Content-Type", "")
    if kind.lower().startswith("multipart/"):
        raise Malformed(f"the part {part.name!r} is {kind[:40]!r}: parts within parts are not read; send one file")


def _text(part: Field | File, data: bytes) -> str:
    charset = parse_options_header(part.headers.get("Content-Type", ""))[1].get("charset", "utf-8")
    try:
        return data.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise Malformed(f"the field {part.name!r} is no {charset[:40]} text") from None


def _unfinished(decoder: MultipartDecoder, error: ValueError) -> str:
    if "Content-Disposition" in str(error):
        return 'a part of the form has no header Content-Disposition: form-data; name="…"'
    if isinstance(error, UnicodeDecodeError):
        return "the header of a part is no UTF-8 text"
    if decoder.complete:
        return "the form breaks off: its last boundary is missing"
    return "the form can't be read"
