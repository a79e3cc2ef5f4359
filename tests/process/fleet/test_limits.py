"""Limits for each user over several web servers that share a PostgreSQL."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from tests.support.fleet import Fleet
from tests.support.server import Server, SlowUpload
from tests.support.waiting import poll

FILE = b"date,n\n" + b"2026-01-01,1\n" * 200_000


def upload(server: Server) -> tuple[int, str]:
    """Returns the status, and the error if it is one. A small file: it is refused when all of it has arrived."""
    request = urllib.request.Request(server.url + "/uploadCSV", b"date,n\n2026-01-01,1\n", method="PUT")
    request.add_header("Content-Type", "text/csv")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["errorType"]


def test_uploads_at_once_are_counted_over_all_web_servers_and_a_killed_one_frees_its_places(fleet: Fleet) -> None:
    first = fleet.start_web(JOBSVC_USER_MAX_UPLOADS="2")
    second = fleet.start_web(2, JOBSVC_USER_MAX_UPLOADS="2")
    here, there = SlowUpload(first, FILE), SlowUpload(second, FILE)
    assert [upload(server) for server in (first, second)] == [(429, "too_many_uploads")] * 2
    status, answer = there.send_rest()
    assert status == 200, answer
    assert upload(second) == (200, "")
    another = SlowUpload(second, FILE)
    assert upload(second) == (429, "too_many_uploads")
    first.kill()
    poll(lambda: upload(second) == (200, ""), 30, "the places of the killed server to be free")
    status, answer = another.send_rest()
    assert status == 200, answer
    here.close()


def test_requests_a_second_are_counted_over_all_web_servers(fleet: Fleet) -> None:
    most = 5
    webs = [fleet.start_web(2, JOBSVC_USER_MAX_REQUESTS=str(most)), fleet.start_web(JOBSVC_USER_MAX_REQUESTS=str(most))]

    def status(number: int) -> int:
        try:
            with urllib.request.urlopen(webs[number % 2].url + "/jobs", timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            waits.append(error.headers["Retry-After"])
            return error.code

    waits: list[str | None] = []
    began = time.monotonic()
    statuses = [status(number) for number in range(60)]
    passed = time.monotonic() - began
    let_through = statuses.count(200)
    assert set(statuses) == {200, 429}
    assert set(waits) == {"1"}
    assert 2 * most - 1 <= let_through <= 2 * most + passed * most + 1, (let_through, passed)
    for web in webs:
        assert web.get("/readyz")["status"] == "ready"
