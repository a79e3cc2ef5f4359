"""Bodies of requests, received straight into memory."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from gunicorn.config import Config

from jobsvc.process.http.body import DirectBody
from jobsvc.process.http.client_socket import ClientGone, ClientTooSlow
from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.connection import Connection, hold_back_continue, is_unread

BODY = bytes(range(256)) * 20
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the client's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def head(size: int = len(BODY), also: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n" % (size, also)


def begun(pair: Pair, gathered: bytes, silent: float = 30.0) -> tuple[Connection, Any]:
    """A connection of which so much has arrived, and its request, as the worker hands it to the application."""
    conn = Connection(Config(), pair[0], ("127.0.0.1", 1), ("127.0.0.1", 2), ClientTimeouts(silent=silent))
    conn.gathered += gathered
    conn.init()
    conn.sock.setblocking(True)
    request = next(conn.parser)
    hold_back_continue(request, conn.sock)
    request.body = DirectBody(request, conn.sock)
    return conn, request


def received(body: DirectBody, size: int) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: body.receive_into(memoryview(buffer))])


@pytest.mark.parametrize("arrived", [0, 1, 1000, len(BODY)])
@pytest.mark.parametrize("size", [100, 999, 10_000])
def test_a_body_is_received_whole_and_nothing_after_it(pair: Pair, arrived: int, size: int) -> None:
    conn, request = begun(pair, head() + BODY[:arrived])
    pair[1].sendall(BODY[arrived:] + NEXT)
    got = b""
    while piece := received(request.body, size):
        got += piece
    assert got == BODY
    assert not is_unread(request)
    conn.begin_next()
    rest = bytes(conn.gathered)
    assert rest + pair[0].recv(1000) == NEXT if rest != NEXT else True


def test_what_was_read_before_is_not_received_again(pair: Pair) -> None:
    _, request = begun(pair, head() + BODY[:1000])
    pair[1].sendall(BODY[1000:])
    body = request.body
    got = body.read(10) + received(body, 1500) + body.read(300) + body.readline() + received(body, 100) + body.read()
    assert got == BODY
    assert received(body, 10) == body.read() == b""


def test_what_has_arrived_is_received_without_waiting_for_more(pair: Pair) -> None:
    _, request = begun(pair, head() + BODY[:10], silent=0.1)
    assert received(request.body, 10) == BODY[:10]


def test_a_client_that_waits_is_told_to_go_on_once(pair: Pair) -> None:
    _, request = begun(pair, head(also=b"Expect: 100-continue\r\n"))
    pair[1].sendall(BODY[:10])
    assert received(request.body, 10) == BODY[:10]
    pair[1].sendall(BODY[10:])
    assert received(request.body, 10_000) == BODY[10:]
    pair[0].close()
    assert pair[1].recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert pair[1].recv(1000) == b""


def test_a_body_of_chunks_is_received_too(pair: Pair) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:1000], BODY[1000:]))
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, request = begun(pair, start + chunks[:100])
    pair[1].sendall(chunks[100:] + b"0\r\n\r\n")
    assert received(request.body, 2000) + received(request.body, 10_000) == BODY
    assert received(request.body, 10) == b""


@pytest.mark.parametrize("arrived", [0, 1000])
def test_after_a_body_that_breaks_off_no_request_is_looked_for(pair: Pair, arrived: int) -> None:
    _, request = begun(pair, head() + BODY[:arrived])
    pair[1].close()
    with pytest.raises(ClientGone):
        received(request.body, 10_000)
    assert request.body.failed
    assert is_unread(request)


def test_a_client_that_stops_sending_is_given_up(pair: Pair) -> None:
    _, request = begun(pair, head() + BODY[:1000], silent=0.1)
    with pytest.raises(ClientTooSlow, match=r"nothing arrived for 0\.1 seconds"):
        received(request.body, 10_000)
    assert request.body.failed
