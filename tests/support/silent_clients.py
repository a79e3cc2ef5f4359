"""Clients that leave a server waiting: what sleeping laptops, broken scripts and slow networks do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress

LOCAL = b"Host: 127.0.0.1\r\n"
MULTIPART = b"Content-Type: multipart/form-data; boundary=b\r\n"
FILE_PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n\r\n'

SMALL_BUFFER = 4096
"""The client's system takes hardly anything of an answer that the client does not read."""


def connect(port: int, *, buffer: int | None = None, timeout: float = 30.0) -> socket.socket:
    """`buffer` bounds what the client's system receives ahead."""
    client = socket.socket()
    if buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    client.settimeout(timeout)
    client.connect(("127.0.0.1", port))
    return client


def opened(port: int) -> socket.socket:
    return connect(port)


def half_a_header(port: int) -> socket.socket:
    return _sent(port, b"GET /healthz HTTP/1.1\r\n" + LOCAL)


def half_a_body(port: int) -> socket.socket:
    return _sent(port, b"POST /exportData HTTP/1.1\r\n" + LOCAL + b'Content-Length: 50\r\n\r\n{"from":')


def half_a_body_in_chunks(port: int) -> socket.socket:
    return _sent(port, b"POST /exportData HTTP/1.1\r\n" + LOCAL + b'Transfer-Encoding: chunked\r\n\r\n9\r\n{"from":"')


def half_an_upload(port: int) -> socket.socket:
    head = b"POST /uploadCSV HTTP/1.1\r\n" + LOCAL + MULTIPART + b"Content-Length: 1000000\r\n\r\n"
    return _sent(port, head + FILE_PART + b"a,b\n1,2\n")


def close_left_open(port: int) -> socket.socket:
    return _sent(port, b"GET /healthz HTTP/1.1\r\n" + LOCAL + b"Connection: close\r\n\r\n")


def http_1_0_left_open(port: int) -> socket.socket:
    return _sent(port, b"GET /healthz HTTP/1.0\r\n" + LOCAL + b"\r\n")


def body_to_a_wrong_path(port: int) -> socket.socket:
    return _sent(port, b"POST /nowhere HTTP/1.1\r\n" + LOCAL + b"Content-Length: 90000\r\n\r\n" + bytes(90_000))


def unread_download(path: str) -> Callable[[int], socket.socket]:
    """`path` must be megabytes long, which no system's buffers hold."""

    def ask(port: int) -> socket.socket:
        client = connect(port, buffer=SMALL_BUFFER)
        client.sendall(f"GET {path} HTTP/1.1\r\n".encode() + LOCAL + b"\r\n")
        return client

    return ask


def _sent(port: int, data: bytes) -> socket.socket:
    client = connect(port)
    client.sendall(data)
    return client


class Crowd:
    """Many of them at once, until the end of the `with` block."""

    def __init__(self, port: int, kinds: Iterable[Callable[[int], socket.socket]], each: int) -> None:
        self._port = port
        self._kinds = list(kinds)
        self._each = each
        self._clients: dict[socket.socket, Callable[[int], socket.socket]] = {}

    def __enter__(self) -> Crowd:
        # In turns, so that each kind has its share of whatever there is too little of.
        for _ in range(self._each):
            for kind in self._kinds:
                self._clients[kind(self._port)] = kind
        return self

    def renew(self) -> int:
        """Open those again that the server has closed; returns how many there were. What it sends stays unread."""
        ended = [client for client in self._clients if _is_closed(client)]
        for client in ended:
            kind = self._clients.pop(client)
            client.close()
            self._clients[kind(self._port)] = kind
        return len(ended)

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()


def _is_closed(client: socket.socket) -> bool:
    """Whether the server has let go of the connection for good: sending gets a reset, or nothing is established."""
    with suppress(OSError):
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        return state != _ESTABLISHED
    return True


_ESTABLISHED = 1
"""TCP_ESTABLISHED, as the system counts (tcp_states.h)."""
