"""A client's socket as gunicorn's parser and answers use it: no client can keep a thread waiting without an end."""

from __future__ import annotations

import errno
import os
import select
import socket
from time import monotonic
from typing import BinaryIO

from jobsvc.process.client_patience import ClientPatience

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

SENDFILE_BYTES = 4 * 1024 * 1024
"""How much is sent of a file in one call."""

UNSENT_BYTES = 256 * 1024
"""How much of a download the system keeps ready. With megabytes, as by default, it would take
a slow reader minutes until the next byte could be sent, and the reader would seem to be silent."""


class ClientTooSlow(TimeoutError):
    """The client was waited for long enough."""


class ClientSocket:
    """Belongs to one thread at a time: the one that accepts, or one that answers a request.

    What is sent is collected, and sent by `flush` as far as that takes no waiting,
    unless `stream` was called. Receiving, and sending in a stream, wait within the bounds
    of `patience`.
    """

    def __init__(self, raw: socket.socket, patience: ClientPatience) -> None:
        self._raw = raw
        self._patience = patience
        self._waited = 0.0
        self._moved = 0
        self.unsent = bytearray()
        self.streams = False
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

    def collect(self) -> None:
        """The stream is over."""
        self.streams = False
        self._raw.setblocking(False)

    # With waiting.

    def stream(self) -> None:
        """From now on, send at once; begins with what was collected."""
        self._raw.settimeout(self._patience.silent)
        if self._raw.family != getattr(socket, "AF_UNIX", None) and hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self._raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        self.streams = True
        collected, self.unsent = self.unsent, bytearray()
        self.sendall(collected)

    def go_on(self) -> None:
        """Tell a client that asked for it to send its body."""
        self._raw.sendall(CONTINUE)

    def recv(self, size: int) -> bytes:
        """Raises ClientTooSlow, OSError."""
        begun = self.receiving_since = monotonic()
        try:
            data = self._raw.recv(size)
        except TimeoutError:
            raise ClientTooSlow(f"nothing arrived for {self._patience.silent:g} seconds") from None
        finally:
            self.receiving_since = None
        if data:
            self._count(len(data), monotonic() - begun, "arrived")
        return data

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
                sent = self._raw.send(rest)
            except TimeoutError:
                raise self._takes_nothing() from None
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
            try:
                sent = os.sendfile(self._raw.fileno(), file.fileno(), offset, count)
            except BlockingIOError:
                self._wait_until_writable()
                continue
            if sent == 0:
                raise OSError(errno.EIO, "the file is shorter than the answer has announced")
            return sent

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._raw, select.POLLOUT)
        if not poll.poll(self._patience.silent * 1000):
            raise self._takes_nothing()

    def _takes_nothing(self) -> ClientTooSlow:
        return ClientTooSlow(f"nothing was taken for {self._patience.silent:g} seconds")

    def _count(self, moved: int, waited: float, what: str) -> None:
        """Bounds a trickle: only the time that was spent on waiting for the client counts."""
        self._moved += moved
        self._waited += waited
        if self._waited < self._patience.silent:
            return
        if self._moved < self._patience.least_bytes:
            raise ClientTooSlow(f"only {self._moved} bytes {what} in {self._waited:.0f} seconds of waiting")
        self._moved, self._waited = 0, 0.0

    # What else gunicorn asks of a socket.

    def setblocking(self, blocking: bool) -> None:
        self._raw.settimeout(self._patience.silent if blocking else 0.0)

    def settimeout(self, seconds: float | None) -> None:
        self._raw.settimeout(self._patience.silent if seconds is None else seconds)

    def gettimeout(self) -> float | None:
        return self._raw.gettimeout()

    def fileno(self) -> int:
        return self._raw.fileno()

    def shutdown(self, how: int) -> None:
        self._raw.shutdown(how)

    def close(self) -> None:
        self._raw.close()
