"""Limits for each user at a real server: what a client sees that sends an upload too many."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobsvc.cli.client.exits import Exit
from tests.support.server import Server, SlowUpload
from tests.support.shell import Said, jobsvc
from tests.support.waiting import poll

FILE = b"date,n\n" + b"2026-01-01,1\n" * 200_000

MakeServer = Callable[..., Server]


def begun(server: Server, *, expects: bool = False) -> tuple[socket.socket, int, dict[str, Any], str | None]:
    """Send the header of an upload, and nothing of its body; returns what is answered."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    head = f"PUT /uploadCSV HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\nContent-Length: {len(FILE)}\r\n"
    client.sendall((head + ("Expect: 100-continue\r\n" if expects else "") + "\r\n").encode())
    answer = http.client.HTTPResponse(client, method="PUT")
    answer.begin()
    return client, answer.status, json.load(answer), answer.headers["Retry-After"]


def test_an_upload_too_many_is_refused_before_its_body_is_sent_and_the_place_is_free_after_the_first(
    make_server: MakeServer,
) -> None:
    server = make_server(JOBSVC_USER_MAX_UPLOADS="1").start()
    slow = SlowUpload(server, FILE)
    for expects in (False, True):
        client, status, answer, retry = begun(server, expects=expects)
        assert (status, answer["errorType"], retry) == (429, "too_many_uploads", "5")
        assert "1 uploads under way, and each user may have 1 at once (JOBSVC_USER_MAX_UPLOADS)" in answer["message"]
        # What it would have sent is no request: the connection ends.
        assert client.recv(1) == b""
        client.close()
    status, answer = slow.send_rest()
    assert status == 200, answer
    status, answer = SlowUpload(server, FILE).send_rest()
    assert status == 200, answer


def test_an_upload_that_breaks_off_frees_its_place(make_server: MakeServer) -> None:
    server = make_server(JOBSVC_USER_MAX_UPLOADS="1").start()
    SlowUpload(server, FILE).close()
    poll(lambda: _succeeds(server), 30, "the place to be free")


def _succeeds(server: Server) -> bool:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        client.request("PUT", "/uploadCSV", FILE, {"Content-Type": "text/csv"})
        return client.getresponse().status == 200
    except ConnectionError:
        # Refused while it was still being sent.
        return False
    finally:
        client.close()


def test_the_command_line_shows_which_limit_it_is_and_ends_as_when_a_service_can_t_answer(
    make_server: MakeServer, tmp_path: Path
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("date,n\n2026-01-01,1\n")
    server = make_server(JOBSVC_USER_MAX_STORED_BYTES="5", JOBSVC_USER_MAX_REQUESTS="1").start()
    said: list[Said] = []

    def is_told(text: str, *command: str) -> bool:
        said.append(jobsvc(server.url, *command))
        return text in said[-1].err

    poll(lambda: is_told("more requests than 1 a second", "list"), 30, "a request too many")
    assert said[0].exit == Exit.OK
    assert said[-1].exit == Exit.UNREACHABLE
    poll(lambda: is_told("(JOBSVC_USER_MAX_STORED_BYTES)", "upload", str(file)), 30, "a file too large")
    assert said[-1].exit == Exit.UNREACHABLE
