"""Reading multipart/form-data (RFC 7578) as it comes: fields in memory, a file into what takes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import NEED_DATA, Data, Epilogue, Event, Field, File, MultipartDecoder, State

from jobsvc.web.uploads.body import Receive

DECODED_BYTES = 256 * 1024
"""How much the decoder gets at a time; less than MAX_FORM_BYTES, which it takes at most."""

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

    def write(self, data: bytes | memoryview, /) -> object:
        """`data` is the sink's for the length of this call."""


_AROUND = len(b"\r\n--")
"""How much a boundary has before its name."""


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

    @property
    def holds_no_boundary(self) -> bool:
        """Whether it is within a part's data, and has at most the beginning of a boundary."""
        return self.state is State.DATA and len(self.buffer) < len(self.boundary) + _AROUND

    def data_in(self, buffer: bytearray, size: int) -> int:
        """How many of a buffer's first `size` bytes, which follow data, are data for certain.

        It is what needs no decoding: all of a large file but its end.
        """
        found = buffer.find(b"--" + self.boundary, 0, size)
        if found >= 0:
            return max(0, found - len(b"\r\n"))
        last = max(0, size - len(self.boundary) - _AROUND)
        return last + self._last_partial_boundary_index(buffer[last:size])


def read_form(
    receive: Receive, boundary: str, open_file: Callable[[File], Sink], close_file: Callable[[], None], *, buffer: int
) -> list[tuple[str, str]]:
    """The fields of a form, in order. `open_file` says where a file goes, `close_file` that it was whole.

    It reads up to `buffer` bytes at a time.
    Raises Malformed, and whatever the three raise.
    """
    fields: list[tuple[str, str]] = []
    part: Field | File | None = None
    collected: list[bytes] = []
    taken = parts = 0
    sink: Sink | None = None
    decoder = _Decoder(boundary.encode("latin-1"), MAX_FORM_BYTES)
    # What it holds back must leave room for more.
    for event in _events(receive, decoder, bytearray(max(buffer, 4 * len(boundary)))):
        if isinstance(event, (Field, File)):
            parts += 1
            if parts > MAX_PARTS:
                raise Malformed(f"the form has more than {MAX_PARTS} parts")
            _check(event)
            part, collected = event, []
            sink = open_file(event) if isinstance(event, File) else None
        elif isinstance(event, (Data, memoryview)):
            assert part is not None
            data = event.data if isinstance(event, Data) else event
            if sink is not None:
                sink.write(data)
            else:
                taken += len(data)
                if taken > MAX_FORM_BYTES:
                    raise Malformed(TOO_MUCH)
                collected.append(bytes(data))
            if isinstance(event, Data) and not event.more_data:
                if sink is not None:
                    close_file()
                else:
                    fields.append((part.name, _text(part, b"".join(collected))))
    return fields


def _events(receive: Receive, decoder: _Decoder, buffer: bytearray) -> Iterator[Event | memoryview]:
    """What comes of the form. A memoryview is more of a part's data, and good until the next event is asked for."""
    view = memoryview(buffer)
    event: Event = NEED_DATA
    while not isinstance(event, Epilogue):
        within_data = decoder.holds_no_boundary
        at = len(decoder.buffer) if within_data else 0
        view[:at] = decoder.buffer[:at]
        size = receive(view[at:])
        end = at + size
        if size and within_data:
            decoder.buffer.clear()
            at = decoder.data_in(buffer, end)
            if at:
                yield view[:at]
        while True:
            event = _fed(decoder, view[at : min(end, at + DECODED_BYTES)] if size else None)
            at += DECODED_BYTES
            while event is not NEED_DATA and not isinstance(event, Epilogue):
                yield event
                event = _fed(decoder, b"")
            if at >= end:
                break
    yield event


def _fed(decoder: _Decoder, data: bytes | memoryview | None) -> Event:
    """The decoder's next event once it has more data; None: the form has ended."""
    try:
        decoder.receive_data(data)  # type: ignore[arg-type]  # It takes whatever a bytearray does.
        return decoder.next_event()
    except RequestEntityTooLarge:
        raise Malformed(TOO_MUCH) from None
    except ValueError as error:
        raise Malformed(_unfinished(decoder, error)) from error


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
