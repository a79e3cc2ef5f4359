"""What the beginning of a request says about its size, before gunicorn's parser reads and judges it.

Nothing here refuses anything. Where a header is wrong or contradicts itself, the
request is handed to the parser, which says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024

_LINE_END = b"\r\n"
_END = b"\r\n\r\n"
_FRAMING = re.compile(
    rb"^(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)

MAX_DIGITS = 18
"""No serious length has so many digits; one with more is as good as endless."""

PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY_V2_FIXED_BYTES = 16
PROXY_V1 = b"PROXY "


@dataclass(frozen=True)
class Head:
    """The header of a request."""

    size: int
    """Its bytes, with the empty line at its end and what comes before it."""
    body: int | None = 0
    """The bytes of the body; None if only its end tells."""
    expects: bool = False
    """Whether the client sends the body only when it is told to go on (`Expect: 100-continue`)."""


def find_head(received: bytes | bytearray, searched: int = 0, *, proxy: bool = False) -> Head | None:
    """The header at the beginning of what was received; None if more of it must come.

    The first `searched` bytes are known to hold no end of it. `proxy` says that
    the PROXY protocol may come before it.
    """
    begin = _proxy_bytes(received) if proxy else 0
    if begin is None:
        return None
    if received.startswith(b"\r\n", begin):
        # The parser takes one empty line before the request for none.
        begin += 2
    end = received.find(_END, max(begin, searched - len(_END) + 1))
    if end < 0:
        # The parser refuses a line that ends with LF alone: nothing more need come.
        lines = received.count(b"\n", begin)
        return Head(len(received)) if lines != received.count(b"\r\n", begin) else None
    size = end + len(_END)
    body: int | None = 0
    expects = False
    for name, value in _FRAMING.findall(received, begin, size):
        text = value.strip()
        match name.lower():
            case b"content-length" if body is not None:
                body = _length(text)
            case b"transfer-encoding":
                body = None
            case b"expect":
                if text.lower() != b"100-continue":
                    # The parser refuses it without waiting for more.
                    return Head(size)
                expects = _is_http_1_1(received, begin, proxy=proxy)
    return Head(size, body, expects)


def _length(text: bytes) -> int:
    """A length that is no number counts as 0: the parser refuses it, without waiting for more."""
    if not text.isdigit():
        return 0
    digits = text.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= MAX_DIGITS else 10**MAX_DIGITS


def _is_http_1_1(received: bytes | bytearray, begin: int, *, proxy: bool) -> bool:
    """A client of an older version is not told to go on, whatever it expects."""
    if proxy and received.startswith(PROXY_V1, begin):
        begin = received.find(_LINE_END, begin) + len(_LINE_END)
    return received[begin : received.find(_LINE_END, begin)].endswith(b"HTTP/1.1")


def _proxy_bytes(received: bytes | bytearray) -> int | None:
    """How long the header of the PROXY protocol is; its first version is a line like those that follow."""
    if not received.startswith(PROXY_V2):
        return None if PROXY_V2.startswith(bytes(received[: len(PROXY_V2)])) else 0
    if len(received) < PROXY_V2_FIXED_BYTES:
        return None
    size = PROXY_V2_FIXED_BYTES + int.from_bytes(received[14:16], "big")
    return size if len(received) >= size else None


def chunked_end(received: bytes | bytearray, begin: int) -> tuple[bool, int]:
    """Whether a chunked body has arrived to its end, and where to begin when more has come.

    `begin` is where a chunk begins. What is not well-formed has no end that could be
    waited for: the parser will say so.
    """
    while True:
        end = received.find(_LINE_END, begin)
        if end < 0:
            return False, begin
        try:
            size = int(received[begin:end].partition(b";")[0], 16)
        except ValueError:
            return True, begin
        if size <= 0:
            return size < 0 or received.find(_END, end) >= 0, begin
        following = end + len(_LINE_END) + size + len(_LINE_END)
        if following > len(received):
            return False, begin
        begin = following
