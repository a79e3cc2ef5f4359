"""Several web processes that are asked for the same thing at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from tests.support.fleet import Fleet
from tests.support.server import Server

KEYS = 25
TWINS = 6


def upload(web: Server, key: str) -> str:
    """Upload a small file with an Idempotency-Key; returns the job's id."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na,b\n1,2\n'
        + key.encode()
        + b",4\n"
        b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Idempotency-Key": key}
    connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
    connection.request("POST", "/uploadCSV", body, headers)
    answer = connection.getresponse()
    said = answer.read()
    assert answer.status == 200, said
    return str(json.loads(said)["Job ID"])


def test_the_same_request_to_several_web_processes_at_once_makes_one_job_and_one_file(fleet: Fleet) -> None:
    webs = [fleet.start_web(processes=2), fleet.start_web()]
    together = Barrier(TWINS)

    def ask(number: int) -> Iterator[str]:
        for key in range(KEYS):
            together.wait(30)
            yield upload(webs[number % 2], f"key-{key}")

    with ThreadPoolExecutor(TWINS) as threads:
        answers = list(threads.map(lambda number: list(ask(number)), range(TWINS)))
    assert all(answer == answers[0] for answer in answers)
    assert len(set(answers[0])) == KEYS
    assert fleet.query("SELECT count(*) FROM jobs") == [(KEYS,)]
    assert fleet.query("SELECT count(*) FROM procrastinate_jobs") == [(KEYS,)]
    assert len(webs[0].files()) == KEYS
    fleet.start_worker()
    fleet.wait_all(answers[0])
    assert fleet.query("SELECT count(*) FROM records") == [(2 * KEYS,)]
