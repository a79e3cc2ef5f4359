"""A receiver of webhooks: a real HTTP server on a free port of this machine."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Event, Thread
from typing import Any

from tests.support.waiting import TIMEOUT


@dataclass(frozen=True)
class Received:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """Answers with `statuses` in turn, then always with 204. `_changed` guards `received` and `statuses`."""

    def __init__(self, *statuses: int, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._changed = Condition()
        self.received: list[Received] = []
        self.statuses = list(statuses)
        self.answering = Event()
        """Cleared, requests are received, but not answered."""
        self.answering.set()
        self.location = ""
        self.server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count: int) -> list[Received]:
        """Wait until that many requests have arrived; returns them."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self.received) >= count, TIMEOUT)
            assert enough, f"{len(self.received)} of {count} webhooks arrived"
            return list(self.received)

    def close(self) -> None:
        self.answering.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._changed:
                    receiver.received.append(Received(self.path, headers, body))
                    status = receiver.statuses.pop(0) if receiver.statuses else 204
                    receiver._changed.notify_all()
                receiver.answering.wait(TIMEOUT)
                self.send_response(status)
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def receiving(*statuses: int, **more: Any) -> Iterator[Receiver]:
    receiver = Receiver(*statuses, **more)
    try:
        yield receiver
    finally:
        receiver.close()
