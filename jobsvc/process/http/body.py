"""The body of a request, received straight into the application's memory."""

from __future__ import annotations

from typing import Any

from gunicorn.http.body import Body, LengthReader  # type: ignore[import-untyped]

from jobsvc.process.http.client_socket import ClientSocket
from jobsvc.process.http.connection import Continuing

LEAST_BYTES = 256 * 1024
"""How much to wait for: what arrives in drops would otherwise be worked on in drops."""


class DirectBody(Body):  # type: ignore[misc]
    """gunicorn's body, which passes each byte through several buffers, with a way past them.

    Both ways may be mixed. Belongs to the thread of its request.
    """

    def __init__(self, request: Any, client: ClientSocket) -> None:
        super().__init__(request.body.reader)
        self._unreader = request.unreader
        self._client = client

    def receive_into(self, buffer: memoryview) -> int:
        """Put some of the body at the front of `buffer`; returns how many bytes: 0 at its end. Raises what `read` does.

        It waits for LEAST_BYTES, or for as much as the body or the buffer has, and takes what is there beyond.
        """
        filled, least = 0, min(LEAST_BYTES, len(buffer))
        while filled < least and (size := self._receive_some(buffer[filled:])):
            filled += size
        return filled

    def _receive_some(self, buffer: memoryview) -> int:
        reader = self.reader
        if isinstance(reader, Continuing):
            reader.begin()
            reader = reader.reader
        # What has arrived with the head, or was read ahead, comes first, and nothing is waited for.
        if held := self.buf.tell():
            return _put(self.read(min(held, len(buffer))), buffer)
        if not isinstance(reader, LengthReader):
            return _put(self.read(len(buffer)), buffer)
        if held := self._unreader.buf.getbuffer().nbytes:
            return _put(self._read_reader(min(held, len(buffer))), buffer)
        if not reader.length:
            return 0
        try:
            size = self._client.recv_into(buffer[: reader.length])
        except BaseException:
            # As `read` does: nobody knows where the next request begins.
            self.failed = True
            raise
        reader.length -= size
        return size


def _put(data: bytes, buffer: memoryview) -> int:
    buffer[: len(data)] = data
    return len(data)
