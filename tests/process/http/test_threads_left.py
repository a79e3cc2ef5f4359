"""However many uploads arrive slowly and requests wait for runs that hang, others are answered."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.support import silent_clients
from tests.support.server import Server
from tests.support.silent_clients import Crowd
from tests.support.waiting import TIMEOUT, poll

SLOTS = 24
EACH = 40
"""More than there are threads."""

SOON_SECONDS = 3.0
"""It takes milliseconds; on a machine that is busy with other tests more. Without threads it takes the whole wait."""

JOB = "/jobs/held-job"


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While this file is there, an item of the job hangs."""
    file = tmp_path / "hold"
    file.touch()
    return file


@pytest.fixture
def server(make_server: Callable[..., Server], hold: Path) -> Iterator[Server]:
    server = make_server([sys.executable, "-m", "gunicorn", "tests.process.programs.held:app"], HOLD=str(hold)).start()
    server.wait_for("held-job", "running")
    yield server
    hold.unlink(missing_ok=True)


def asked(server: Server, method: str, path: str) -> tuple[int, Any, float]:
    """Status, body, and how many seconds it took."""
    begun = monotonic()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        body = json.load(answer)
        return answer.status, body, monotonic() - begun


def assert_quick(server: Server) -> None:
    for _ in range(5):
        status, _, seconds = asked(server, "GET", "/healthz")
        assert status == 200
        assert seconds < SOON_SECONDS
        status, job, seconds = asked(server, "POST", f"{JOB}/pause?wait=0")
        assert (status, job["state"]) == (202, "pausing")
        assert seconds < SOON_SECONDS


def is_full(server: Server) -> bool:
    """Whether a large answer is refused: the contract is one."""
    return asked(server, "GET", "/openapi.json")[0] == 503


@pytest.mark.parametrize("first", ["uploads", "waits"])
def test_slow_uploads_and_long_waits_together_leave_threads_for_steering(
    server: Server, hold: Path, first: str
) -> None:
    uploads = Crowd(server.port, [silent_clients.half_an_upload], SLOTS)
    with ThreadPoolExecutor(EACH) as threads, ExitStack() as stack:
        # Before the threads are waited for, also where an assertion fails.
        stack.callback(hold.unlink)
        waiting: list[Future[Any]] = []
        for those in [first, {"uploads": "waits", "waits": "uploads"}[first]]:
            if those == "uploads":
                stack.enter_context(uploads)
                poll(lambda: is_full(server), TIMEOUT, "the slots to be taken")
            else:
                waiting += [threads.submit(asked, server, "POST", f"{JOB}/pause?wait=30") for _ in range(EACH)]
                poll(lambda: asked(server, "GET", JOB)[1]["state"] == "pausing", TIMEOUT, "the pause")
        assert_quick(server)
    assert {answer.result()[0] for answer in waiting} <= {200, 202}


def test_short_waits_leave_threads_for_steering(server: Server) -> None:
    with Crowd(server.port, [silent_clients.half_an_upload], SLOTS), ThreadPoolExecutor(EACH) as threads:
        poll(lambda: is_full(server), TIMEOUT, "the slots to be taken")
        waiting = [threads.submit(asked, server, "POST", f"{JOB}/pause?wait=1") for _ in range(3 * EACH)]
        poll(lambda: asked(server, "GET", JOB)[1]["state"] == "pausing", TIMEOUT, "the pause to be asked for")
        assert_quick(server)
        assert {answer.result()[0] for answer in waiting} == {202}
