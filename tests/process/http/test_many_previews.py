"""Steering is answered beside any number of previews, also of files that are made to be slow."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

import pytest
import requests

from tests.support.previews import BYTES
from tests.support.server import Server
from tests.support.waiting import TIMEOUT

PREVIEWS = 60

SLOW = gzip.compress(b"a,b\n" + b'"x\n' * (1024 * 1024 // 3), mtime=0)
"""A kilobyte or two, of which each row asks for all that come after it."""

PAUSE_SECONDS = 5.0
"""More than it takes on a busy machine, and far less than all of the previews would keep it waiting."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data").start()
    yield server
    server.stop()


def test_a_pause_is_answered_soon_beside_many_slow_previews(server: Server, flights: Path) -> None:
    answered: SimpleQueue[int] = SimpleQueue()

    def ask() -> int:
        answer = requests.post(f"{server.url}/previews", data=SLOW, headers={"Content-Type": BYTES}, timeout=120)
        if answer.status_code == 503:
            assert answer.json()["type"] == "urn:jobsvc:too-many-previews"
            assert int(answer.headers["Retry-After"]) > 0
        answered.put(answer.status_code)
        return answer.status_code

    job_id = server.upload(flights)
    with ThreadPoolExecutor(PREVIEWS) as pool:
        previews = [pool.submit(ask) for _ in range(PREVIEWS)]
        # The server has begun with them.
        answered.get(timeout=TIMEOUT)
        begun = monotonic()
        status, answer = server.post(f"/jobs/{job_id}/pause?wait=5")
        took = monotonic() - begun
        statuses = [preview.result(120) for preview in previews]
    print(f"paused in {took:.2f} s; {statuses.count(200)} previews made")
    assert (status, answer["state"]) == (200, "paused"), answer
    assert took < PAUSE_SECONDS
    assert statuses.count(200) >= 1
    assert set(statuses) <= {200, 503}
