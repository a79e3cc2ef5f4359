"""What a client gets that sends no HTTP: the headers for browsers, and a problem document without what it has sent."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from jobsvc.process.http.answer import FOR_BROWSERS
from jobsvc.process.metrics_port import MetricsPort
from tests.support.server import Server, free_port

SENT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = Server(tmp_path_factory.mktemp("malformed") / "data", DATABASE_URL="").start()
    yield server.port
    server.kill()


@pytest.fixture
def metrics_port() -> Iterator[int]:
    port = free_port()
    part = MetricsPort("127.0.0.1", port)
    part.start()
    yield port
    part.shut_down(10)


def answer_to(port: int, sent: str) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        connection.sendall(sent.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer, answer.read()


def assert_headers(answer: http.client.HTTPResponse) -> None:
    assert {name: answer.headers[name] for name in FOR_BROWSERS} == FOR_BROWSERS


HOST = "Host: localhost\r\n"
MANY = "X-A: b\r\n" * 200


@pytest.mark.parametrize(
    ("sent", "status", "name", "detail"),
    [
        (f"{SENT}\r\n\r\n", 400, "malformed-request", "no well-formed HTTP"),
        (f"GET {SENT} HTTP/9.9\r\n{HOST}\r\n", 400, "malformed-request", "no well-formed HTTP"),
        (f"GET / HTTP/1.1\r\n{HOST}{SENT}\r\n\r\n", 400, "malformed-request", "no well-formed HTTP"),
        (f"POST / HTTP/1.1\r\n{HOST}Content-Length: {SENT}\r\n\r\n", 400, "malformed-request", "no well-formed HTTP"),
        (f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n", 414, "request-line-too-long", "may have 4094 bytes"),
        (f"GET / HTTP/1.1\r\n{HOST}{MANY}\r\n", 431, "header-too-large", "100 fields"),
        (
            f"GET / HTTP/1.1\r\n{HOST}X-A: {'b' * 70_000}\r\n\r\n",
            431,
            "header-too-large",
            "the header of a request may have",
        ),
        (f"GET / HTTP/1.1\r\n{HOST}Expect: {SENT}\r\n\r\n", 417, "expectation-failed", "100-continue"),
        (
            f"POST / HTTP/1.1\r\n{HOST}Transfer-Encoding: {SENT}\r\n\r\n",
            *(501, "unknown-transfer-coding", "Transfer-Encoding"),
        ),
    ],
)
def test_what_is_no_request_gets_the_headers_and_a_problem_document(
    port: int, sent: str, status: int, name: str, detail: str
) -> None:
    answer, body = answer_to(port, sent)
    assert answer.status == status
    assert_headers(answer)
    assert (answer.headers["Content-Type"], answer.headers["Connection"]) == ("application/problem+json", "close")
    found: dict[str, Any] = json.loads(body)
    assert (found["type"], found["status"]) == (f"urn:jobsvc:{name}", status)
    assert detail in found["detail"]
    assert found["title"]
    assert SENT not in body.decode(), "nothing that was sent comes back"


@pytest.mark.parametrize(
    ("sent", "status", "content_type"),
    [
        ("GET /metrics HTTP/1.1\r\n\r\n", 200, "text/plain"),
        (f"GET /{SENT} HTTP/1.1\r\n\r\n", 404, "text/plain"),
        ("DELETE /metrics HTTP/1.1\r\n\r\n", 405, "text/plain"),
        (f"{SENT} {SENT}\r\n\r\n", 400, "application/problem+json"),
        (f"GET / HTTP/{SENT}\r\n\r\n", 400, "application/problem+json"),
        (f"GET /{'a' * 70_000} HTTP/1.1\r\n\r\n", 414, "application/problem+json"),
        (f"GET / HTTP/1.1\r\n{MANY}\r\n", 431, "application/problem+json"),
    ],
)
def test_the_metrics_port_of_a_worker_has_the_headers_on_every_answer(
    metrics_port: int, sent: str, status: int, content_type: str
) -> None:
    answer, body = answer_to(metrics_port, sent)
    assert answer.status == status
    assert_headers(answer)
    assert answer.headers["Content-Type"].partition(";")[0] == content_type
    assert SENT not in body.decode()
    if content_type != "text/plain":
        assert json.loads(body)["status"] == status
