"""Reading a request's body in large pieces, into memory that is used again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from flask import request
from werkzeug.exceptions import ClientDisconnected

Receive: TypeAlias = Callable[[memoryview], int]
"""Puts some of a body at the front of a buffer, and returns how many bytes: 0 at its end."""

MOST_BYTES, LEAST_BYTES = 1024 * 1024, 64 * 1024
"""How large a buffer is. For each piece the thread may have to wait for the interpreter, which others use, too."""

STREAM_BYTES = 256 * 1024
"""How much is read at a time where that waits until there is as much."""


def receive_body() -> Receive:
    """What reads the body of the request. Raises RequestEntityTooLarge.

    What it returns raises ClientDisconnected, gunicorn's ParseException, and, where only
    reading tells, RequestEntityTooLarge.
    """
    # It also checks the length that was announced, if one was.
    stream = request.stream
    receive_into: Receive | None = getattr(request.environ["wsgi.input"], "receive_into", None)

    def directly(buffer: memoryview) -> int:
        assert receive_into is not None
        try:
            return receive_into(buffer)
        except OSError as error:
            # As the stream does.
            raise ClientDisconnected from error

    if receive_into is not None and request.content_length is not None:
        return directly

    def through_stream(buffer: memoryview) -> int:
        data = stream.read(min(len(buffer), STREAM_BYTES))
        buffer[: len(data)] = data
        return len(data)

    return through_stream


def buffer_bytes() -> int:
    """How large the buffer for the body of the request is to be."""
    return min(MOST_BYTES, max(LEAST_BYTES, request.content_length or MOST_BYTES))


def pieces(receive: Receive, size: int) -> Iterator[memoryview]:
    """A body, in pieces of up to `size` bytes. Each is good until the next one is asked for."""
    buffer = memoryview(bytearray(size))
    while received := receive(buffer):
        yield buffer[:received]
