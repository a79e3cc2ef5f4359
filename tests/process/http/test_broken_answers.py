"""Answers that break off, that are too short or too large, and requests whose bodies break off."""

from __future__ import annotations

import errno
import json
import selectors
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, request
from gunicorn.config import Config
from gunicorn.glogging import Logger

from jobsvc.process.http.client_timeouts import ClientTimeouts
from jobsvc.process.http.connection import Connection
from jobsvc.process.http.gunicorn_worker import HttpWorker
from jobsvc.process.http.loop import _cut
from jobsvc.process.http.transfer_slots import SMALL_BYTES
from jobsvc.web import problems
from tests.support.waiting import poll

PIECE = bytes(40_000)
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"
NEW = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = 3 * SMALL_BYTES


class Client:
    """The client's end of a connection over TCP, whose requests a real worker answers, on the thread that asks."""

    def __init__(self, app: Any) -> None:
        config = Config()
        config.set("threads", 4)
        self.worker = HttpWorker(1, 1, [], app, 1, config, Logger(config))
        self.worker.wsgi = app
        self.worker.poller = selectors.DefaultSelector()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.end = socket.create_connection(listener.getsockname(), timeout=30)
            raw, address = listener.accept()
        self.conn = Connection(config, raw, address, raw.getsockname(), ClientTimeouts(silent=0.5))
        self.worker.nr_conns = 1

    def send(self, sent: bytes) -> None:
        """To what has arrived, one answer is sent as far as that takes the client to take nothing."""
        self.conn.gathered += sent
        self.conn.data_ready = True
        answered: Future[bool] = Future()
        answered.set_result(self.worker.handle(self.conn))
        self.worker.finish_request(self.conn, answered)

    def ask(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """Raises ConnectionResetError."""
        with ThreadPoolExecutor(1) as pool:
            received = pool.submit(self.received)
            self.send(sent)
            if self.conn.keep and self.conn in self.worker._held:
                self.conn.sock.shutdown(socket.SHUT_WR)
            start, _, body = received.result().partition(b"\r\n\r\n")
        first, *lines = start.decode().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body

    def received(self) -> bytes:
        data = b""
        while more := self.end.recv(1_000_000):
            data += more
        return data


@pytest.fixture
def connect() -> Iterator[Callable[[Any], Client]]:
    clients = []

    def connected(app: Any) -> Client:
        clients.append(Client(app))
        return clients[-1]

    yield connected
    for client in clients:
        client.end.close()
        client.conn.close()
        client.worker.poller.close()


Connect = Callable[[Any], Client]


def answering(pieces: Callable[[], Any], *headers: tuple[str, str]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", list(headers))
        return pieces()

    return app


@pytest.mark.parametrize("error", [RuntimeError("broken"), OSError(errno.EIO, "broken"), BrokenPipeError("of a child")])
@pytest.mark.parametrize("sent", [OLD, NEW])
def test_an_answer_that_breaks_off_does_not_look_whole(connect: Connect, error: Exception, sent: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [PIECE] * 4
        raise error

    with pytest.raises(ConnectionResetError):
        connect(answering(pieces)).ask(sent)


def test_an_answer_that_is_cut_at_a_shutdown_does_not_look_whole(connect: Connect) -> None:
    client = connect(answering(lambda: iter([PIECE] * 1000)))
    client.conn.sock._timeouts = ClientTimeouts()
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(client.send, OLD)
        poll(lambda: client.conn.sock.sending_since is not None, 30, "the client to be waited for")
        _cut(client.conn)
        answered.result(30)
    with pytest.raises(ConnectionResetError):
        client.received()


def test_nor_does_one_that_is_cut_between_two_of_its_pieces(connect: Connect) -> None:
    def pieces() -> Iterator[bytes]:
        yield from [PIECE] * 4
        _cut(client.conn)
        yield PIECE

    client = connect(answering(pieces))
    with pytest.raises(ConnectionResetError):
        client.ask(OLD)


@pytest.mark.parametrize("error", [RuntimeError("broken"), OSError(errno.ESTALE, "broken"), BrokenPipeError("broken")])
def test_what_the_application_raises_before_anything_was_sent_is_answered(connect: Connect, error: Exception) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"begun"
        raise error

    def app(environ: Any, start_response: Any) -> Any:
        raise error

    class Closing:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"done"])

        def close(self) -> None:
            raise error

    for broken in (answering(pieces), app, answering(Closing)):
        assert connect(broken).ask(NEW)[0] == 500


def test_an_answer_that_is_shorter_than_announced_ends_the_connection(connect: Connect) -> None:
    small = connect(answering(lambda: [b"12345"], ("Content-Length", "10")))
    assert small.ask(NEW)[0] == 500
    assert not small.conn.keep
    with pytest.raises(ConnectionResetError):
        connect(answering(lambda: [PIECE] * 3, ("Content-Length", "130000"))).ask(NEW)
    status, _, body = connect(answering(lambda: [PIECE] * 3, ("Content-Length", "120000"))).ask(NEW)
    assert (status, body) == (200, PIECE * 3)


def test_a_small_answer_says_how_long_it_is_to_who_would_wait_for_the_end_of_the_connection(connect: Connect) -> None:
    status, headers, body = connect(answering(lambda: iter([b"one", b"two"]))).ask(OLD)
    assert (status, headers["content-length"], body) == (200, "6", b"onetwo")


@pytest.mark.parametrize("headers", [[], [("Content-Length", str(LARGE))]])
def test_the_large_answer_to_what_may_have_changed_something_needs_no_slot(connect: Connect, headers: Any) -> None:
    def client() -> Client:
        made = connect(answering(lambda: [bytes(LARGE)], *headers))
        while made.worker._slots.take():
            pass
        return made

    sender = client()
    sender.end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * LARGE)
    status, _, body = sender.ask(OLD.replace(b"GET", b"POST"))
    assert (status, body) == (200, bytes(LARGE))
    status, _, body = client().ask(OLD)
    assert status == 503
    assert "nothing was changed" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("body", "ends", "status", "kind"),
    [
        (b"x\r\n", False, 400, "malformed-body"),
        (b"2\r\n{}xx", False, 400, "malformed-body"),
        (b"5\r\n{", True, 400, "incomplete-body"),
        (b"5\r\n{", False, 408, "request-timeout"),
    ],
)
def test_a_body_of_chunks_that_is_none_is_the_fault_of_its_client(
    connect: Connect, body: bytes, ends: bool, status: int, kind: str
) -> None:
    app = Flask("test")
    problems.register(app)
    app.add_url_rule("/", view_func=lambda: request.get_data() or "empty", methods=["POST"])
    client = connect(app)
    if ends:
        client.end.shutdown(socket.SHUT_WR)
    found, headers, answer = client.ask(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert (found, headers["connection"]) == (status, "close")
    assert json.loads(answer)["type"] == f"urn:jobsvc:{kind}"
