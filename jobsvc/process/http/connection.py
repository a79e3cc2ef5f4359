"""A connection: what has arrived of its next request, and what it waits for."""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import Enum, auto
from time import monotonic
from typing import Any

from gunicorn import http  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn  # type: ignore[import-untyped]

from jobsvc.process.http.client_socket import ClientSocket
from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.request_head import MAX_HEAD_BYTES, Head, chunked_end, find_head
from jobsvc.process.http.transfer_slots import SMALL_BYTES


class Stage(Enum):
    """What a connection waits for while no thread has it."""

    LINGERING = auto()
    """The last answer was sent: for the client to close."""
    IDLE = auto()
    """For the first byte of a request."""
    HEAD = auto()
    """For the rest of the header."""
    BODY = auto()
    """For the rest of a small body."""
    CHUNKS = auto()
    """For the end of a body that may be small."""
    ANSWERING = auto()
    """For the client to take the rest of a small answer."""
    WAITING = auto()
    """For a slot for its upload."""


class Next(Enum):
    """What a request that is arriving needs next."""

    HEAD = auto()
    """The rest of its header."""
    BODY = auto()
    """The rest of its small body."""
    CHUNKS = auto()
    """More of a body of which nobody knows the length."""
    GO_ON = auto()
    """To be told that its body is wanted."""
    THREAD = auto()
    SLOT = auto()
    """A slot for a transfer, and a thread."""
    REFUSAL = auto()
    """Its header is too long."""


class Connection(TConn):  # type: ignore[misc]
    """Belongs to one thread at a time, as its socket does."""

    def __init__(self, cfg: Any, raw: socket.socket, client: Any, server: Any, timeouts: ClientTimeouts) -> None:
        super().__init__(cfg, ClientSocket(raw, timeouts), client, server)
        self.initialized: bool
        self.gathered = bytearray()
        """What has arrived of the next request, and after it."""
        self.stage = Stage.IDLE
        self.since = monotonic()
        """When it was accepted, or its last answer was taken: since then, its next request is due."""
        self.deadline = 0.0
        self.has_slot = False
        self.keep = True
        """Whether another request may come after the answer that is being sent."""
        self.drained = 0
        self.linger_until = 0.0
        self.events = 0
        """The events that the poller is to report; 0 while the poller does not have the connection."""
        self._head: Head | None = None
        self._searched = 0
        self._told_to_go_on = False
        self._chunk = 0
        """Where in `gathered` the last chunk begins that was looked at."""
        self.seems_large = False
        """A body of chunks did not end in the time for a small one."""
        self._proxy = cfg.proxy_protocol != "off"

    def look(self) -> Next:
        """What the request needs next, as far as it has arrived."""
        if self._head is None:
            self._head = find_head(self.gathered, self._searched, proxy=self._proxy)
            self._searched = len(self.gathered)
            if self._head is None:
                return Next.HEAD if self._searched <= MAX_HEAD_BYTES else Next.REFUSAL
            self._chunk = self._head.size
        head = self._head
        if head.body is None:
            return self._look_at_chunks(head)
        if head.body > SMALL_BYTES:
            return Next.SLOT
        if len(self.gathered) >= head.size + head.body:
            return Next.THREAD
        if head.expects and not self._told_to_go_on:
            self._told_to_go_on = True
            return Next.GO_ON
        return Next.BODY

    def _look_at_chunks(self, head: Head) -> Next:
        """A body that says nothing of its length counts as small until it turns out to be an upload."""
        ended, self._chunk = chunked_end(self.gathered, self._chunk)
        if ended:
            return Next.THREAD
        large = self.seems_large or head.expects or len(self.gathered) > head.size + SMALL_BYTES
        return Next.SLOT if large else Next.CHUNKS

    def init(self) -> None:
        """Hand what has arrived to the parser; gunicorn calls this before each request."""
        if not self.initialized:
            self.initialized = True
            self.parser = http.get_parser(self.cfg, self.sock, self.client)
        self.parser.unreader.unread(bytes(self.gathered))
        self.gathered.clear()
        self._proxy = False

    def begin_next(self) -> None:
        """After an answer: what has arrived after its request begins the next one."""
        self.gathered += self.parser.unreader.take_buffered()
        self.since = monotonic()
        self.sock.begin()
        self._head = None
        self._searched = 0
        self._told_to_go_on = False
        self.seems_large = False


def hold_back_continue(request: Any, client: ClientSocket) -> None:
    """Send `100 Continue` when the body is first read, and not before the application has the request."""
    if request._expected_100_continue:
        request._expected_100_continue = False
        if is_unread(request):
            request.body.reader = Continuing(request.body.reader, client.go_on)


def is_unread(request: Any) -> bool:
    """Whether some of the body is still to come: the next request can't be found without waiting for it."""
    body = request.body
    if body.failed:
        return True
    reader = body.reader
    if isinstance(reader, Continuing):
        reader = reader.reader
    length = getattr(reader, "length", None)
    if length is None:
        return getattr(reader, "parser", None) is not None
    return bool(length > request.unreader.buf.getbuffer().nbytes)


class Continuing:
    """Reads a body, and tells its client before the first byte that it is wanted."""

    def __init__(self, reader: Any, go_on: Callable[[], None]) -> None:
        self.reader = reader
        self._go_on: Callable[[], None] | None = go_on

    def begin(self) -> None:
        if self._go_on is not None:
            go_on, self._go_on = self._go_on, None
            go_on()

    def read(self, size: int) -> bytes:
        self.begin()
        data: bytes = self.reader.read(size)
        return data
