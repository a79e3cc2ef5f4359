"""Several web processes tell the same, whichever is asked; workers tell of their runs at a port of their own."""

from __future__ import annotations

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.exactly_once import DATE_COLUMN
from tests.support.fleet import Fleet
from tests.support.scraped import Scraped
from tests.support.server import Server, free_port
from tests.support.waiting import poll

REQUESTS = 30


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where servers make what they need for themselves."""
    place = tmp_path / "temporary"
    place.mkdir()
    return place


def scraped(server: Server) -> Scraped:
    return Scraped(server.get_bytes("/metrics").decode())


def health_checks(server: Server) -> float:
    return scraped(server).count("jobsvc_http_requests_total", route="/healthz", method="GET", status="200")


def files(temporary: Path) -> list[str]:
    return sorted(path.name for path in temporary.glob("jobsvc-metrics-*/*.db"))


def test_each_web_process_tells_what_all_have_answered_also_those_that_were_killed(
    make_fleet: Callable[..., Fleet], temporary: Path
) -> None:
    fleet = make_fleet()
    web = fleet.start_web(2, TMPDIR=str(temporary))
    for _ in range(REQUESTS):
        web.get("/healthz")
    for _ in range(10):
        assert health_checks(web) == REQUESTS
    killed = web.worker_pids()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    poll(lambda: len(web.worker_pids() - killed) == 2 and not web.worker_pids() & killed, 30, "other processes")
    web.wait_ready()
    poll(
        lambda: not [name for name in files(temporary) for pid in killed if f"_{pid}." in name],
        10,
        "what the killed ones have counted to be with that of the dead",
    )
    for _ in range(10):
        assert health_checks(web) == REQUESTS


def test_each_web_process_has_the_room_for_what_it_measures_from_the_start(
    make_fleet: Callable[..., Fleet], temporary: Path
) -> None:
    """A file with holes would end the process when the disk is full."""
    fleet = make_fleet()
    web = fleet.start_web(2, TMPDIR=str(temporary))
    owners = {*map(str, web.worker_pids()), "dead"}
    found = {path: path.stat() for path in temporary.glob("jobsvc-metrics-*/*.db")}
    assert {path.stem.rpartition("_")[2] for path in found} == owners
    assert min(stat.st_size for stat in found.values()) > 0
    assert [path.name for path, stat in found.items() if stat.st_blocks * 512 < stat.st_size] == []
    assert scraped(web).labels("jobsvc_build_info")[0]["engine"] == "fleet"
    assert web.stop() == 0
    assert list(temporary.glob("jobsvc-metrics-*")) == []


def test_a_server_that_was_killed_leaves_nothing_that_the_next_one_counts(
    make_fleet: Callable[..., Fleet], temporary: Path
) -> None:
    web = make_fleet().start_web(2, TMPDIR=str(temporary))
    for _ in range(REQUESTS):
        web.get("/healthz")
    web.kill()
    assert len(list(temporary.glob("jobsvc-metrics-*"))) == 1
    web.start()
    assert health_checks(web) == 0
    assert len(list(temporary.glob("jobsvc-metrics-*"))) == 1


def test_a_worker_tells_of_its_runs_and_the_web_server_of_all_jobs(
    make_fleet: Callable[..., Fleet], part: Path
) -> None:
    port = free_port()
    fleet = make_fleet(JOBSVC_METRICS_PORT=str(port))
    web, _ = fleet.start_web(), fleet.start_worker(concurrency=3)
    job_id = web.upload(part, date_column=DATE_COLUMN)
    web.wait_for(job_id, "succeeded")
    # The job has succeeded a moment before its entry of the queue is done.
    poll(lambda: scraped(web).get("jobsvc_slots", state="used") == 0, 20, "the slot to be free")
    found = scraped(web)
    assert found.get("jobsvc_slots", state="free") == 3
    assert found.get("jobsvc_workers") == 1
    assert found.items("baselineCSV")["done"] == 10_000
    assert found.count("jobsvc_commit_duration_seconds_count", kind="baselineCSV") == 0

    at = f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{at}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
        of_worker = Scraped(answer.read().decode())
    assert of_worker.get("jobsvc_commit_duration_seconds_count", kind="baselineCSV") >= 1
    # What the database knows, the web servers tell: told twice, it would be summed up twice.
    assert of_worker.labels("jobsvc_jobs") == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{at}/jobs", timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(urllib.request.Request(f"{at}/metrics", b"x"), timeout=10)

    second = fleet.start_worker(wait=False)
    assert second.process.wait(30) != 0
    assert f"JOBSVC_METRICS_PORT={port} can't be used: Address already in use" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()


def test_metrics_of_a_worker_are_for_this_machine_unless_it_is_said_otherwise(
    make_fleet: Callable[..., Fleet],
) -> None:
    fleet = make_fleet(JOBSVC_METRICS_PORT=str(free_port()), HOST="0.0.0.0")
    worker = fleet.start_worker(wait=False)
    assert worker.process.wait(30) != 0
    assert "refusing to tell metrics at 0.0.0.0" in worker.log.read_text()
