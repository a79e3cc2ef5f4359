"""Limits for each user over several web servers that share a PostgreSQL."""

from __future__ import annotations

import json
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
