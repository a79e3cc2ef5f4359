"""A client's socket as gunicorn's parser and answers use it: no client can keep a thread waiting without an end."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import BinaryIO

from gunicorn.http.errors import NoMoreData  # type: ignore[import-untyped]

from jobsvc.process.http.client_timeouts import ClientTimeouts

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

SENDFILE_BYTES = 4 * 1024 * 1024
"""How much is sent of a file in one call."""

UNSENT_BYTES = 256 * 1024
"""How much of a download the system keeps ready. With megabytes, as by default, it would take
a slow reader minutes until the next byte could be sent, and the reader would seem to be silent."""


CUT_SECONDS = 0.25
"""A thread that waits for a client to take something checks so often whether to go on."""

RESETS = struct.pack("ii", 1, 0)
ENDS = struct.pack("ii", 0, 0)
"""What SO_LINGER says of how a connection is closed."""


class ClientTooSlow(NoMoreData, TimeoutError):  # type: ignore[misc]
    """The server has waited for the client long enough, and gives its request up."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    def __str__(self) -> str:
        return self._message


class ClientGone(NoMoreData, ConnectionError):  # type: ignore[misc]
    """The client has closed the connection, or its half of it, before the end of the body that it has announced."""

    def __init__(self) -> None:
        super().__init__()

    def __str__(self) -> str:
        return "the connection was closed before the end of the body"


class ClientSocket:
    """Belongs to one thread at a time: the one that accepts, or one that answers a request.

    What is sent is collected, and sent by `flush` as far as that takes no waiting,
    unless `stream` was called. Receiving, and sending in a stream, wait within the bounds
    of `time_limit`.
    """

    def __init__(self, raw: socket.socket, timeouts: ClientTimeouts) -> None:
        self._raw = raw
        self._timeouts = timeouts
        self._waited = 0.0
        self._moved = 0
        self.unsent = bytearray()
        self.streams = False
        self.breaks_off = False
        """Part of an answer was sent, and not all of it: the connection ends with a reset, however it ends."""
        self._is_cut = False
        self.receiving_since: float | None = None
        """Since when a thread has been waiting for the client to send something; read by other threads."""
        self.sending_since: float | None = None
        """The same for it to take something."""

    # Without waiting.

    def receive(self, size: int) -> bytes | None:
        """What has arrived; empty at the end of the connection, None if there is nothing. Raises OSError."""
        try:
            return self._raw.recv(size)
        except BlockingIOError:
            return None

    def flush(self) -> bool:
        """Send what was collected. Returns False if the client must take some of it first. Raises OSError."""
        if not self.unsent:
            return True
        self._raw.setblocking(False)
        while self.unsent:
            try:
                sent = self._raw.send(self.unsent)
            except BlockingIOError:
                return False
            del self.unsent[:sent]
        return True

    def begin(self) -> None:
        """Another request is due: what its client moves is counted from the beginning."""
        self._moved, self._waited = 0, 0.0

    def cut(self) -> None:
        """Let a thread that sends, now or later, raise an OSError; other threads call this."""
        self._is_cut = True

    def end_stream(self) -> None:
        """The answer was sent whole."""
        self.breaks_off = False
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ENDS)

    def collect(self) -> None:
        """A stream is over."""
        self.streams = False
        self._raw.setblocking(False)

    # With waiting.

    def stream(self) -> None:
        """From now on, send at once; begins with what was collected.

        Until `end_stream`, whatever closes the connection resets it, be it the end of the process:
        where an answer has no other end, the client would take any other for it.
        """
        self.breaks_off = True
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        self._raw.settimeout(self._timeouts.silent)
        if self._raw.family != getattr(socket, "AF_UNIX", None) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self.streams = True
        collected, self.unsent = self.unsent, bytearray()
        self.sendall(collected)

    def go_on(self) -> None:
        """Tell a client that asked for it to send its body."""
        self._raw.sendall(CONTINUE)

    def recv(self, size: int) -> bytes:
        """More of a request's body: it is asked for only as long as the body is not whole.

        Raises ClientTooSlow, OSError; ClientGone at the end of the connection, which gunicorn
        would take for the end of the body.
        """
        with self._receiving() as begun:
            data = self._raw.recv(size)
        self._received(len(data), begun)
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """The same, put at the front of a buffer; returns how many bytes."""
        with self._receiving() as begun:
            size = self._raw.recv_into(buffer)
        self._received(size, begun)
        return size

    @contextmanager
    def _receiving(self) -> Iterator[float]:
        self.receiving_since = monotonic()
        try:
            yield self.receiving_since
        except TimeoutError:
            raise ClientTooSlow(f"nothing arrived for {self._timeouts.silent:g} seconds") from None
        finally:
            self.receiving_since = None

    def _received(self, size: int, begun: float) -> None:
        if not size:
            raise ClientGone
        self._count(size, monotonic() - begun, "arrived")

    def send(self, data: bytes | bytearray | memoryview) -> int:
        self.sendall(data)
        return len(data)

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Raises ClientTooSlow, OSError."""
        if not self.streams:
            self.unsent += data
            return
        rest = memoryview(data)
        while rest:
            begun = self.sending_since = monotonic()
            try:
                self._wait_until_writable()
                sent = self._raw.send(rest)
            finally:
                self.sending_since = None
            self._count(sent, monotonic() - begun, "was taken")
            rest = rest[sent:]

    def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send `count` bytes of a file, which the system does by itself. Raises ClientTooSlow, OSError."""
        assert self.streams
        assert count is not None
        end = offset + count
        while offset < end:
            begun = self.sending_since = monotonic()
            try:
                sent = self._sendfile_once(file, offset, min(end - offset, SENDFILE_BYTES))
            finally:
                self.sending_since = None
            self._count(sent, monotonic() - begun, "was taken")
            offset += sent
        return count

    def _sendfile_once(self, file: BinaryIO, offset: int, count: int) -> int:
        while True:
            self._wait_until_writable()
            try:
                sent = os.sendfile(self._raw.fileno(), file.fileno(), offset, count)
            except BlockingIOError:
                continue
            if sent == 0:
                raise OSError(errno.EIO, "the file is shorter than the answer has announced")
            return sent

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._raw, select.POLLOUT)
        rest = self._timeouts.silent
        while not self._is_cut:
            begun = monotonic()
            if poll.poll(min(rest, CUT_SECONDS) * 1000):
                return
            rest -= monotonic() - begun
            if rest <= 0:
                raise ClientTooSlow(f"nothing was taken for {self._timeouts.silent:g} seconds")
        raise ConnectionAbortedError(errno.ECONNABORTED, "the server ends")

    def _count(self, moved: int, waited: float, what: str) -> None:
        """Bounds a trickle: only the time that was spent on waiting for the client counts."""
        self._moved += moved
        self._waited += waited
        if self._waited < self._timeouts.silent:
            return
        if self._moved < self._timeouts.least_bytes:
            raise ClientTooSlow(f"only {self._moved} bytes {what} in {self._waited:.0f} seconds of waiting")
        self._moved, self._waited = 0, 0.0

    # What else gunicorn asks of a socket.

    def setblocking(self, blocking: bool) -> None:
        self._raw.settimeout(self._timeouts.silent if blocking else 0.0)

    def settimeout(self, seconds: float | None) -> None:
        self._raw.settimeout(self._timeouts.silent if seconds is None else seconds)

    def gettimeout(self) -> float | None:
        return self._raw.gettimeout()

    def fileno(self) -> int:
        return self._raw.fileno()

    def shutdown(self, how: int) -> None:
        self._raw.shutdown(how)

    def close(self) -> None:
        self._raw.close()
