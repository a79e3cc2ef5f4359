"""Limits for each user over several web servers that share a PostgreSQL."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from tests.support.fleet import FAST, Fleet
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


def stretches(fleet: Fleet, jobs: list[str]) -> list[tuple[datetime, datetime]]:
    """From when to when each attempt of these jobs ran, in order."""
    found = []
    for job_id in jobs:
        began = None
        for line in fleet.history(job_id):
            at = datetime.fromisoformat(line["at"])
            if line["to"] == "running":
                began = at
            elif line["from"] == "running" and began is not None:
                found.append((began, at))
    return sorted(found)


def assert_one_at_a_time(found: list[tuple[datetime, datetime]]) -> list[float]:
    """Returns the seconds between the end of each and the beginning of the next."""
    pauses = [(after[0] - before[1]).total_seconds() for before, after in pairwise(found)]
    # Two machines would have two clocks; here it is one.
    assert min(pauses) >= 0, found
    return pauses


def test_a_users_jobs_run_one_after_the_other_though_slots_are_free_and_each_begins_at_once(
    make_fleet: Callable[..., Fleet],
) -> None:
    # No sweep helps.
    fleet = make_fleet(JOBSVC_USER_MAX_RUNNING="1", JOBSVC_SWEEP_EVERY="30")
    fleet.start_web()
    early = [fleet.ticks(50) for _ in range(4)]
    for _ in range(2):
        fleet.start_worker(concurrency=2)
    jobs = [*early, *(fleet.ticks(50) for _ in range(6))]
    fleet.wait_all(jobs)
    pauses = assert_one_at_a_time(stretches(fleet, jobs))
    print(f"between two jobs, in seconds: {pauses}")
    assert sorted(pauses)[len(pauses) // 2] < 3
    for job_id in jobs:
        fleet.assert_counted(job_id, 50)
    fleet.assert_queue_empty()


def test_the_limit_holds_when_workers_are_killed_and_all_jobs_are_done(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet(JOBSVC_USER_MAX_RUNNING="1", **FAST)
    web = fleet.start_web()
    for _ in range(2):
        fleet.start_worker(concurrency=2)
    jobs = [fleet.ticks(300) for _ in range(4)]
    web.wait_done(jobs[0], 20)
    killed = fleet.worker_of(jobs[0])
    assert killed is not None
    killed.kill()
    fleet.start_worker(concurrency=2)
    fleet.wait_all(jobs)
    assert_one_at_a_time(stretches(fleet, jobs))
    for job_id in jobs:
        fleet.assert_counted(job_id, 300)
    fleet.assert_queue_empty()
