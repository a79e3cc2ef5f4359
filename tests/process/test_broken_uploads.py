"""An upload of which a part arrives is no upload: there is no job over that part, and no file."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tests.support.server import Server
from tests.support.waiting import poll

ROWS = b"date,name\n" + b"2026-01-01,Ann\n" * 20_000

FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + ROWS


def sent(server: Server, method: str, kind: bytes, body: bytes, announced: int, *, half: bool) -> bytes:
    """Announce so many bytes, send fewer, and close the connection or one's own half of it; returns the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        head = f"{method} /uploadCSV HTTP/1.1\r\nHost: localhost\r\nContent-Length: {announced}\r\n".encode()
        client.sendall(head + b"Content-Type: " + kind + b"\r\n\r\n" + body)
        if not half:
            return b""
        client.shutdown(socket.SHUT_WR)
        found = b""
        while data := client.recv(65536):
            found += data
        return found


def files(server: Server) -> list[str]:
    return sorted(path.name for path in (server.data_dir / "files").iterdir() if path.suffix not in ("", ".json"))


@pytest.mark.parametrize("arrives", [38, 70_000, len(ROWS)], ids=["a little", "beyond a small body", "most of it"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_shorter_than_announced_makes_no_job(server: Server, method: str, arrives: int) -> None:
    answer = sent(server, method, b"text/csv", ROWS[:arrives], 90_000_000, half=True)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "broke off" in str(body) or "before the end of the body" in str(body)
    assert server.get("/jobs")["jobs"] == []
    assert files(server) == []


def test_a_form_that_is_shorter_than_announced_makes_no_job(server: Server) -> None:
    answer = sent(server, "POST", b"multipart/form-data; boundary=x", FORM, 90_000_000, half=True)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert server.get("/jobs")["jobs"] == []
    assert files(server) == []


def test_a_client_that_is_interrupted_during_its_upload_makes_no_job(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    with file.open("w") as lines:
        lines.write("date,number\n")
        for number in range(8_000_000):
            lines.write(f"2026-01-31,{number}\n")
    for ending in (signal.SIGINT, signal.SIGKILL):
        client = subprocess.Popen(
            [sys.executable, "-m", "jobsvc", "upload", str(file)],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "JOBSVC_URL": server.url},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 (it takes no lock)
        )
        poll(lambda: len(files(server)) > 0, 30, "something of the upload to arrive")
        client.send_signal(ending)
        client.wait(30)
        poll(lambda: files(server) == [], 30, "what had arrived to be removed")
    assert server.get("/jobs")["jobs"] == []
