"""PostgreSQL goes away under load, and comes back."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.support.databases import server
from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.fleet import FAST, Fleet, OwnPostgresql
from tests.support.server import Server
from tests.support.waiting import poll

OUTAGES = 2


@pytest.fixture
def postgresql(tmp_path: Path) -> OwnPostgresql:
    server()  # The first server in the process prepares its programs, which takes a moment.
    return OwnPostgresql(tmp_path / "postgresql")


def ask(web: Server, method: str, path: str) -> int:
    """The status of the answer. The server itself answers always."""
    try:
        request = urllib.request.Request(web.url + path, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        status, retry_after = error.code, error.headers["Retry-After"]
    assert status != 503 or retry_after or path == "/readyz"
    return status


def downs(statuses: Counter[tuple[str, int]]) -> int:
    """How many answers said that the database is down."""
    return sum(count for (_, status), count in dict(statuses).items() if status == 503)


def test_nothing_is_lost_when_the_database_stops_and_everybody_recovers(
    make_fleet: Callable[..., Fleet], postgresql: OwnPostgresql, long_part: Path, part: Path
) -> None:
    fleet = make_fleet(postgresql.url, **FAST)
    web = fleet.start_web(processes=2)
    for _ in range(2):
        fleet.start_worker(concurrency=4)
    jobs = [web.upload(long_part, date_column=DATE_COLUMN), *(fleet.ticks(2000) for _ in range(3))]
    over = Event()
    statuses: Counter[tuple[str, int]] = Counter()

    def watch(method: str, path: str) -> None:
        while not over.wait(0.02):
            statuses[f"{method} {path.partition('?')[0].rpartition('/')[2][:8]}", ask(web, method, path)] += 1

    watched = [
        ("GET", f"/jobs/{jobs[0]}"),
        ("GET", "/jobs"),
        ("GET", "/workers"),
        ("POST", f"/jobs/{jobs[1]}/pause?wait=1"),
        ("POST", f"/jobs/{jobs[1]}/resume"),
    ]
    with ThreadPoolExecutor(len(watched)) as threads:
        watching = [threads.submit(watch, *one) for one in watched]
        try:
            for _ in range(OUTAGES):
                before = fleet.total_done()
                poll(lambda before=before: fleet.total_done() > before + 5000, 60, "work to go on")  # type: ignore[misc]
                postgresql.stop()
                said = downs(statuses)
                poll(lambda said=said: downs(statuses) > said + 40, 30, f"it to be noticed: {statuses}")  # type: ignore[misc]
                assert ask(web, "GET", "/healthz") == 200
                assert ask(web, "GET", "/readyz") == 503
                postgresql.start()
                poll(lambda: ask(web, "GET", "/readyz") == 200, 30, "the service to be ready again")
        finally:
            over.set()
        for one in watching:
            one.result()
    print(f"answers: {sorted(statuses.items())}")
    assert {status for _, status in statuses} <= {200, 202, 409, 503}
    # A new job shows that the workers take work again.
    late = web.upload(part, date_column=DATE_COLUMN)
    if web.job(jobs[1])["state"] in ("pausing", "paused"):
        web.wait_for(jobs[1], "paused", "succeeded")
        web.post(f"/jobs/{jobs[1]}/resume")
    fleet.wait_all([*jobs, late])
    # One that had an item under way for longer than its lease may have ended, by that and nothing else.
    ended = [worker.process.returncode for worker in fleet.workers if not worker.runs]
    assert ended in ([], [-signal.SIGALRM]), fleet.story()
    assert_exactly_once(fleet.data_dir, jobs[0], long_part, fleet.url)
    assert_exactly_once(fleet.data_dir, late, part, fleet.url)
    for job_id in jobs[1:]:
        fleet.assert_counted(job_id, 2000)
    fleet.assert_queue_empty()


def test_a_web_process_that_is_started_while_the_database_is_away_serves_once_it_is_back(
    make_fleet: Callable[..., Fleet], postgresql: OwnPostgresql
) -> None:
    fleet = make_fleet(postgresql.url, **FAST)
    web = fleet.start_web()
    first = web.worker_pid()
    postgresql.stop()
    os.kill(first, signal.SIGKILL)
    poll(lambda: "waits for the database" in web.log.read_text(), 30, "a new worker to notice")
    postgresql.start()
    web.wait_ready()
    assert web.worker_pid() != first


def test_a_web_server_is_not_started_without_its_database(
    make_fleet: Callable[..., Fleet], postgresql: OwnPostgresql
) -> None:
    fleet = make_fleet(postgresql.url, **FAST)
    postgresql.stop()
    web = fleet.make_web().start(wait=False)
    assert web.process is not None
    assert web.process.wait(30) == 1
    said = web.log.read_text()
    assert "jobsvc can't start: the database does not answer" in said
    assert "Traceback" not in said
