"""What the server's connections are made of: heads of requests, sockets with timeouts, slots, and gunicorn's parts."""

from __future__ import annotations

import inspect
import logging
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import body, message, parser, unreader, wsgi
from gunicorn.workers import base, gthread

from jobsvc.process.http.beyond_wsgi import WaitingPlace
from jobsvc.process.http.client_socket import ClientSocket, ClientTooSlow
from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.connection import Connection, Next
from jobsvc.process.http.gunicorn_worker import HttpWorker
from jobsvc.process.http.loop import HttpLoop
from jobsvc.process.http.request_head import PROXY_V2, Head, chunked_end, find_head
from jobsvc.process.http.transfer_slots import TransferSlots
from jobsvc.web.in_flight import InFlight

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PROXY = PROXY_V2 + b"\x21\x11" + (12).to_bytes(2, "big") + b"\r\n\r\n" + bytes(8)


@pytest.mark.parametrize(
    ("head", "body", "expects"),
    [
        (GET, 0, False),
        (b"\r\n" + GET, 0, False),
        (b"GET / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", 12, False),
        (b"GET / HTTP/1.1\r\ncontent-LENGTH:  12\t\r\n\r\n", 12, False),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", None, False),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", None, False),
        (b"PUT / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n", 3, True),
        (b"PUT / HTTP/1.1\r\nContent-Length: -3\r\n\r\n", 0, False),
        (b"PUT / HTTP/1.1\r\nContent-Length: 0000000000000000000000100\r\n\r\n", 100, False),
        (b"PUT / HTTP/1.1\r\nContent-Length: 000\r\n\r\n", 0, False),
        (b"PUT / HTTP/1.1\r\nContent-Length: 1%s\r\n\r\n" % (b"0" * 5000), 10**18, False),
        # Whoever speaks HTTP/1.0 does not wait to be told to go on.
        (b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 3, False),
        (b"PUT / HTTP/1.1\r\nX-Content-Length: 3\r\n\r\n", 0, False),
        # The parser refuses these without waiting for more.
        (b"PUT / HTTP/1.1\r\nContent-Length: 3\r\nExpect: wonders\r\n\r\n", 0, False),
        (b"GET / HTTP/1.0\n", 0, False),
        (b"GET / HTTP/1.0\r\nA: b\n", 0, False),
    ],
)
def test_the_head_of_a_request_tells_how_much_of_it_there_is(head: bytes, body: int | None, expects: bool) -> None:
    assert find_head(head) == find_head(bytearray(head)) == Head(len(head), body, expects)
    if head.endswith(b"\r\n\r\n"):
        assert find_head(head + b"Content-Length: 4\r\n\r\n") == Head(len(head), body, expects)


def test_the_head_is_the_same_in_whatever_pieces_it_comes() -> None:
    request = b"POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n"
    for size in range(len(request)):
        assert find_head(request[:size]) is None
        assert find_head(request, size) == Head(len(request), 12)


def test_what_a_proxy_puts_before_a_request_is_no_end_of_its_head() -> None:
    assert find_head(PROXY + GET, proxy=True) == Head(len(PROXY) + len(GET))
    for size in range(len(PROXY + GET)):
        assert find_head((PROXY + GET)[:size], proxy=True) is None
    assert find_head(GET, proxy=True) == Head(len(GET))
    line = b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"
    assert find_head(line + GET, proxy=True) == Head(len(line) + len(GET))
    expects = b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"
    assert find_head(line + expects, proxy=True) == Head(len(line) + len(expects), 0, True)


def test_the_end_of_a_body_of_chunks_is_found_in_whatever_pieces_it_comes() -> None:
    for chunks in (
        b"0\r\n\r\n",
        b"5\r\nab\r\nc\r\nA;name=value\r\n0\r\n\r\n01234\r\n0\r\n\r\n",
        b"1\r\n0\r\n0;last\r\nTrailer: 1\r\nTrailer: 2\r\n\r\n",
    ):
        begin = 3
        for size in range(3, len(chunks) + 3):
            ended, begin = chunked_end(b"..." + chunks[: size - 3], begin)
            assert not ended, chunks[: size - 3]
        assert chunked_end(b"..." + chunks + b"GET /", begin)[0]
    # The parser refuses these without waiting for more.
    assert chunked_end(b"x\r\n", 0)[0]
    assert chunked_end(b"-1\r\n", 0)[0]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end and the client's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]
QUICK = ClientTimeouts(silent=0.2, least_bytes=1000)


def test_a_body_of_chunks_is_small_until_it_turns_out_to_be_an_upload(pair: Pair) -> None:
    def arrived(*pieces: bytes) -> Connection:
        conn = Connection(Config(), pair[0], ("127.0.0.1", 1), ("127.0.0.1", 2), ClientTimeouts())
        for piece in pieces:
            conn.gathered += piece
            conn.look()
        return conn

    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    assert arrived(head, b"\r\n", b"2\r\n{").look() is Next.CHUNKS
    assert arrived(head, b"\r\n", b"2\r\n{", b"}\r\n0\r\n\r\n").look() is Next.THREAD
    assert arrived(head, b"\r\n20000\r\n", bytes(70_000)).look() is Next.SLOT
    assert arrived(head, b"Expect: 100-continue\r\n\r\n").look() is Next.SLOT
    late = arrived(head, b"\r\n")
    late.seems_large = True
    assert late.look() is Next.SLOT


def test_a_client_that_sends_nothing_or_takes_nothing_is_given_up(pair: Pair, tmp_path: Path) -> None:
    ours = ClientSocket(pair[0], QUICK)
    ours.setblocking(True)
    with pytest.raises(ClientTooSlow, match=r"nothing arrived for 0\.2 seconds"):
        ours.recv(10)
    ours.stream()
    with pytest.raises(ClientTooSlow, match=r"nothing was taken for 0\.2 seconds"):
        ours.sendall(bytes(10_000_000))
    file = tmp_path / "file"
    file.write_bytes(bytes(10_000_000))
    with file.open("rb") as opened, pytest.raises(ClientTooSlow, match="nothing was taken"):
        ours.sendfile(opened, 0, 10_000_000)


def test_a_trickle_is_given_up_and_a_slow_client_is_not(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr("jobsvc.process.http.client_socket.monotonic", lambda: next(ticks) * 0.05)
    trickle = ClientSocket(pair[0], QUICK)

    def receive(client: ClientSocket, size: int) -> None:
        for _ in range(100):
            pair[1].sendall(bytes(size))
            assert len(client.recv(1000)) == size

    with pytest.raises(ClientTooSlow, match=r"only 40 bytes arrived in 0 seconds"):
        receive(trickle, 10)
    receive(ClientSocket(pair[0], QUICK), 500)
    several = ClientSocket(pair[0], QUICK)
    for _ in range(100):
        # What was waited for in one request does not count in the next one.
        several.begin()
        pair[1].sendall(b"x")
        assert several.recv(1000) == b"x"


def test_an_answer_is_collected_and_what_the_client_does_not_take_waits_in_memory(pair: Pair) -> None:
    ours = ClientSocket(pair[0], ClientTimeouts())
    # As the main loop has it: what would wait is an error.
    ours.collect()
    answer = bytes(range(256)) * 20_000
    ours.sendall(answer[:100])
    ours.sendall(answer[100:])
    assert not ours.flush()
    received = b""
    while len(received) < len(answer):
        received += pair[1].recv(1_000_000)
        ours.flush()
    assert received == answer
    assert ours.flush()


def test_there_are_three_slots_for_each_four_threads() -> None:
    slots = TransferSlots(32)
    assert [slots.take() for _ in range(25)] == [True] * 24 + [False]
    slots.give_back()
    assert slots.take()


class CountedFile:
    """A server's wrapper for files, as PEP 3333 has it."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"content"])

    def close(self) -> None:
        self.closed += 1


def test_a_file_stays_one_that_the_server_recognises_and_counts_until_it_is_closed() -> None:
    file = CountedFile()
    in_flight = InFlight(lambda environ, start_response: file)
    answer: Any = in_flight({"wsgi.file_wrapper": CountedFile}, lambda *_: lambda _: None)
    assert answer is file
    assert not in_flight.wait(0)
    answer.close()
    assert file.closed == 1
    assert in_flight.wait(0)


def test_another_answer_is_counted_until_it_is_closed() -> None:
    in_flight = InFlight(lambda environ, start_response: [b"a"])
    answer: Any = in_flight({}, lambda *_: lambda _: None)
    assert list(answer) == [b"a"]
    assert not in_flight.wait(0)
    answer.close()
    assert in_flight.wait(0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"certfile": "cert.pem"}, "HTTPS is not spoken here"),
        ({"http_protocols": "h1,h2"}, "HTTP/2 is not spoken here"),
        ({"http2_cleartext": "upgrade"}, "HTTP/2 is not spoken here"),
        ({"protocol": "uwsgi"}, "only http is spoken here"),
        ({"threads": 1}, "at least 2 are needed"),
    ],
)
def test_what_the_server_can_not_do_is_refused_at_the_start(options: dict[str, Any], words: str) -> None:
    config = Config()
    config.set("threads", 32)
    HttpWorker.check_config(config, logging.getLogger())
    for name, value in options.items():
        config.set(name, value)
    # gunicorn prints a RuntimeError as one line, and ends.
    with pytest.raises(RuntimeError, match=words):
        HttpWorker.check_config(config, logging.getLogger())


RELIED_ON: list[tuple[Any, str, str]] = [
    (gthread.TConn, "__init__", "self, cfg, sock, client, server"),
    (gthread.TConn, "init", "self"),
    (gthread.TConn, "close", "self, graceful=False"),
    (gthread.PollableMethodQueue, "defer", "self, callback, *args"),
    (gthread.PollableMethodQueue, "run_callbacks", "self, _fileobj, max_callbacks=50"),
    (gthread.ThreadWorker, "run", "self"),
    (gthread.ThreadWorker, "get_thread_pool", "self"),
    (gthread.ThreadWorker, "accept", "self, listener"),
    (gthread.ThreadWorker, "enqueue_req", "self, conn"),
    (gthread.ThreadWorker, "finish_request", "self, conn, fs"),
    (gthread.ThreadWorker, "handle", "self, conn"),
    (gthread.ThreadWorker, "handle_request", "self, req, conn"),
    (gthread.ThreadWorker, "_keepalive_after", "self, conn, keepalive"),
    (gthread.ThreadWorker, "set_accept_enabled", "self, enabled"),
    (gthread.ThreadWorker, "wait_for_and_dispatch_events", "self, timeout"),
    (gthread.ThreadWorker, "is_parent_alive", "self"),
    (gthread.ThreadWorker, "check_config", "cfg, log"),
    (base.Worker, "handle_error", "self, req, client, addr, exc"),
    (wsgi, "create", "req, sock, client, server, cfg, response_class=None, response_args=()"),
    (wsgi.Response, "__init__", "self, req, sock, cfg"),
    (wsgi.Response, "send_headers", "self"),
    (wsgi.Response, "write", "self, arg"),
    (wsgi.Response, "write_file", "self, respiter"),
    (wsgi.Response, "sendfile", "self, respiter"),
    (wsgi.Response, "close", "self"),
    (wsgi.Response, "should_close", "self"),
    (wsgi.Response, "force_close", "self"),
    (parser.Parser, "finish_body", "self, deadline=None, max_bytes=None"),
    (unreader.Unreader, "unread", "self, data"),
    (unreader.Unreader, "take_buffered", "self"),
    (unreader.SocketUnreader, "__init__", "self, sock, max_chunk=8192"),
    (body.LengthReader, "__init__", "self, unreader, length"),
    (body.ChunkedReader, "__init__", "self, req, unreader"),
    (message.Message, "should_close", "self"),
]
"""What `HttpWorker` overrides or calls of gunicorn's inside. None of it is promised to stay."""


def test_gunicorn_has_what_the_worker_relies_on() -> None:
    changed = [
        f"{owner.__name__}.{name}{found}, was ({expected})"
        for owner, name, expected in RELIED_ON
        if (found := _signature(owner, name)) != f"({expected})"
    ]
    assert not changed, (
        "gunicorn has changed in parts that jobsvc/process/http/ relies on: compare its "
        "workers/gthread.py with the version before, then change this list: " + "; ".join(changed)
    )


def _signature(owner: Any, name: str) -> str:
    part = getattr(owner, name, None)
    return " is gone" if part is None else str(inspect.signature(part))


def test_gunicorn_has_the_attributes_that_the_worker_relies_on() -> None:
    source = inspect.getsource(gthread.ThreadWorker) + inspect.getsource(base.Worker)
    for name in ("nr_conns", "worker_connections", "tpool", "poller", "method_queue", "sockets", "alive", "nr"):
        assert f"self.{name} = " in source, name
    assert "conn.data_ready" in source
    assert "conn.initialized" in source
    answer = inspect.getsource(wsgi.Response)
    for name in ("_omits_body", "response_length", "headers", "headers_sent", "status"):
        assert f"self.{name} = " in answer, name
    assert "self.sock.sendfile(respiter.filelike, offset=offset, count=nbytes)" in answer
    assert "_expected_100_continue" in inspect.getsource(wsgi.create)
    ours = {name for name in vars(HttpWorker) | vars(HttpLoop) if name.startswith("_") and not name.startswith("__")}
    # A private name that gunicorn begins to use would be overridden without anybody noticing.
    assert {name for name in ours if hasattr(gthread.ThreadWorker, name)} == {"_keepalive_after"}
    for name in ("_held", "_waiting", "_busy", "_slots", "_stop_at", "_look_at", "_accept_at"):
        assert f"self.{name} " not in source, name


def test_requests_that_wait_for_a_change_take_a_quarter_of_the_threads_and_leave_one_always() -> None:
    slots = TransferSlots(32)
    assert [slots.take_to_follow() for _ in range(9)] == [True] * 8 + [False]
    # With them, uploads and large answers still take no more than three quarters.
    assert [slots.take() for _ in range(17)] == [True] * 16 + [False]
    slots.give_back_from_following()
    assert slots.take()
    assert not slots.take_to_follow(), "a transfer has its slot"
    slots.give_back()
    assert slots.take_to_follow()
    assert not TransferSlots(2).take_to_follow()


def test_requests_that_wait_for_a_run_or_a_change_leave_slots_for_uploads() -> None:
    slots = TransferSlots(32)
    assert [slots.take_to_wait_long() for _ in range(17)] == [True] * 16 + [False]
    assert not slots.take_to_follow()
    assert [slots.take() for _ in range(9)] == [True] * 8 + [False]
    slots.give_back_from_long_wait()
    assert slots.take_to_follow()
    slots.give_back_from_following()
    assert slots.take_to_wait_long()


def test_whatever_is_taken_threads_are_left_that_wait_for_nothing() -> None:
    slots = TransferSlots(32)
    assert [slots.take_to_wait_long() for _ in range(16)] == [True] * 16
    assert [slots.take() for _ in range(8)] == [True] * 8
    assert [slots.take_to_wait_shortly() for _ in range(5)] == [True] * 4 + [False]
    slots.give_back_from_short_wait()
    slots.give_back()
    assert [slots.take_to_wait_shortly() for _ in range(3)] == [True] * 2 + [False]
    # As few as there can be: one waits, one answers.
    fewest = TransferSlots(2)
    assert fewest.take_to_wait_long()
    assert not fewest.take_to_wait_shortly()


def test_a_request_that_waits_sees_that_its_client_has_gone(pair: Pair) -> None:
    place = WaitingPlace(TransferSlots(32), ClientSocket(pair[0], QUICK))
    assert not place.client_is_gone()
    pair[1].sendall(b"GET / HTTP/1.1")
    assert not place.client_is_gone(), "what it sends is its next request"
    pair[1].shutdown(socket.SHUT_WR)
    assert place.client_is_gone()
