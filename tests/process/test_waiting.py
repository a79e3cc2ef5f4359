"""Requests that wait for a job to change, at a real server."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support.server import Server
from tests.support.silent_clients import LOCAL, connect
from tests.support.waiting import TIMEOUT, poll

PLACES = 8
"""A quarter of the threads."""

CLIENTS = 100


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(JOBSVC_KINDS="tests.support.ticks:Ticks", JOBSVC_MAX_RUNNING="1").start()


@pytest.fixture
def running(server: Server) -> str:
    """A job that goes on until the test has ended."""
    _, job = server.post("/kinds/ticks/jobs", {"count": 10**6, "seconds": 0.01})
    server.wait_for(job["id"], "running")
    job_id: str = job["id"]
    return job_id


class Waiting:
    """A request that waits, on a connection of its own."""

    def __init__(self, server: Server, job_id: str, unless: str = "running") -> None:
        self.socket = connect(server.port, timeout=TIMEOUT)
        path = f"/jobs/{job_id}?wait=30&unless={unless}"
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n".encode() + LOCAL + b"Connection: close\r\n\r\n")

    def answered(self, seconds: float) -> bool:
        self.socket.settimeout(seconds)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT)

    def answer(self) -> tuple[dict[str, Any], str | None]:
        """The job, and after how many seconds to ask again."""
        with closing(self.socket):
            found = http.client.HTTPResponse(self.socket)
            found.begin()
            assert found.status == 200
            return json.load(found), found.headers["Retry-After"]


def wait_taken(server: Server, job_id: str) -> list[Waiting]:
    """As many requests as can wait, once others have left their places: which must be before their wait is over."""
    found: list[Waiting] = []

    def one_more() -> bool:
        one = Waiting(server, job_id)
        if one.answered(0.2):
            assert one.answer()[1] == "2"
        else:
            found.append(one)
        return len(found) == PLACES

    poll(one_more, TIMEOUT / 2, f"{PLACES} places")
    return found


def test_a_hundred_who_wait_hold_up_neither_steering_nor_an_upload(
    server: Server, running: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        crowd = [Waiting(server, running) for _ in range(CLIENTS)]
        for one in crowd:
            stack.callback(one.socket.close)
        poll(
            lambda: sum(one.answered(0.01) for one in crowd) == CLIENTS - PLACES, TIMEOUT, "all but some to be answered"
        )
        (tmp_path / "a.csv").write_text("date,n\n2026-01-01,1\n")
        uploaded = server.upload(tmp_path / "a.csv")
        begun = monotonic()
        status, paused = server.post(f"/jobs/{running}/pause?wait=30")
        assert (status, paused["state"]) == (200, "paused")
        assert monotonic() - begun < 5
        told = [one.answer() for one in crowd]
        assert sorted(after or "" for _, after in told) == [""] * PLACES + ["2"] * (CLIENTS - PLACES)
        assert {job["state"] for job, after in told if after is None} <= {"pausing", "paused"}
        server.wait_for(uploaded, "succeeded")


def test_a_client_that_goes_away_makes_room_for_another(server: Server, running: str) -> None:
    for one in wait_taken(server, running):
        one.socket.close()
    for one in wait_taken(server, running):
        one.socket.close()


def test_a_stop_of_the_server_ends_the_waits_at_once(server: Server, running: str) -> None:
    _, queued = server.post("/kinds/ticks/jobs", {"count": 1})
    waiting = [Waiting(server, queued["id"], "queued") for _ in range(PLACES)]
    assert not any(one.answered(0.5) for one in waiting)
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    with ThreadPoolExecutor(PLACES) as threads:
        told = list(threads.map(lambda one: one.answer(), waiting))
    assert {(job["state"], after) for job, after in told} == {("queued", "2")}
    assert server.stop(seconds=10) == 0
