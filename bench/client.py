"""A client that costs little: what is measured is the service, on a machine that both share."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from bench.measure import Stopwatch

TIMEOUT_SECONDS = 120.0
BOUNDARY = "a-part-of-the-bench"


@dataclass(frozen=True)
class Answer:
    status: int
    json: Any
    seconds: float
    """From before the connection was made until the answer had arrived."""


class Client:
    """Talks to a server on this machine, over a new connection for each request, as curl does."""

    def __init__(self, port: int) -> None:
        self._port = port

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def post(self, path: str, told: Any = None) -> Answer:
        """`told` is sent as JSON."""
        return self._ask("POST", path, None if told is None else json.dumps(told))

    def delete(self, path: str) -> Answer:
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        watch = Stopwatch()
        connection = HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            response = connection.getresponse()
            answered = response.read()
        finally:
            connection.close()
        seconds = watch.seconds
        return Answer(response.status, json.loads(answered) if answered else None, seconds)

    def upload(self, file: Path, path: str = "/uploadCSV", fields: Mapping[str, str] | None = None) -> Answer:
        """Upload a file as a multipart form, with further form fields."""
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
            for name, text in (fields or {}).items()
        ]
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n')
        parts.append("Content-Type: text/csv\r\n\r\n")
        end = f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.send(file, path, f"multipart/form-data; boundary={BOUNDARY}", "".join(parts).encode(), end)

    def send(self, file: Path, path: str, content_type: str, before: bytes = b"", after: bytes = b"") -> Answer:
        """POST a file, from the disk to the socket without a copy, with what goes before and after it."""
        length = len(before) + file.stat().st_size + len(after)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        )
        watch = Stopwatch()
        with (
            socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS) as connection,
            file.open("rb") as body,
        ):
            connection.sendall(head.encode() + before)
            connection.sendfile(body)
            connection.sendall(after)
            response = HTTPResponse(connection, method="POST")
            response.begin()
            text = response.read()
        return Answer(response.status, json.loads(text), watch.seconds)
