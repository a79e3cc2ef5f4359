from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.support.server import Server


@pytest.fixture(scope="package")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service for all tests of the client, with kinds whose jobs last as long as a test likes."""
    data_dir = tmp_path_factory.mktemp("service") / "data"
    kinds = ",".join(f"tests.support.ticks:{name}" for name in ("Ticks", "Tocks", "Stubborn", "Sticky"))
    server = Server(data_dir, DATABASE_URL="", JOBSVC_KINDS=kinds).start()
    yield server
    server.kill()


@pytest.fixture
def url(service: Server) -> str:
    return service.url


@pytest.fixture
def make_job(service: Server) -> Iterator[Callable[..., str]]:
    """Makes jobs that go on until the test has ended, or are done at once."""
    made: list[str] = []

    def make(count: int = 1_000_000) -> str:
        status, job = service.post("/kinds/tocks/jobs", {"count": count, "seconds": 0.01})
        assert status == 201, job
        made.append(job["id"])
        service.wait_for(job["id"], "running" if count > 1 else "succeeded")
        return made[-1]

    yield make
    for job_id in made:
        service.post(f"/jobs/{job_id}/terminate", {"rollback": True})


class Told(ThreadingHTTPServer):
    """Answers every request with `status` and `body`, and keeps the headers that came."""

    status = 200
    body: bytes = b"{}"
    content_type = "application/json"
    headers: Any = None
    read_bytes = 0
    """Of the request's body."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        server = self._server
        left = int(self.headers["Content-Length"])
        while data := self.rfile.read(min(left, 1024 * 1024)):
            left -= len(data)
            server.read_bytes += len(data)
        self.do_GET()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        server = self._server
        server.headers = self.headers
        self.send_response(server.status)
        self.send_header("Content-Type", server.content_type)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    @property
    def _server(self) -> Told:
        assert isinstance(self.server, Told)
        return self.server

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def told() -> Iterator[Told]:
    with Told(("127.0.0.1", 0), _Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
