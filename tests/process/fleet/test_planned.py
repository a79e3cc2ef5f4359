"""What operators do on purpose: restarting workers one after the other, and starting them late."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.fleet import FAST, Fleet
from tests.support.waiting import poll


def gaps(history: list[dict[str, Any]]) -> list[float]:
    """Seconds from each interruption to when the job ran again."""
    found, since = [], None
    for line in history:
        at = datetime.fromisoformat(line["at"])
        if line["to"] == "interrupted":
            since = at
        elif line["to"] == "running" and since is not None:
            found.append((at - since).total_seconds())
            since = None
    return found


def test_all_workers_are_replaced_one_by_one_and_no_job_waits_for_one_to_be_given_up(
    make_fleet: Callable[..., Fleet], long_part: Path
) -> None:
    # With the default times: a worker that is given up takes 7 seconds.
    fleet = make_fleet()
    web = fleet.start_web()
    for _ in range(2):
        fleet.start_worker(concurrency=3)
    jobs = [web.upload(long_part, date_column=DATE_COLUMN), *(fleet.ticks(3000) for _ in range(4))]
    web.wait_done(jobs[0], 20_000)
    old = list(fleet.workers)
    for worker in old:
        fleet.start_worker(concurrency=3)
        assert worker.stop(15) == 0, fleet.story()
    fleet.wait_all(jobs)
    assert_exactly_once(fleet.data_dir, jobs[0], long_part, fleet.url)
    for job_id in jobs[1:]:
        fleet.assert_counted(job_id, 3000)
    waits = [gap for job_id in jobs for gap in gaps(fleet.history(job_id))]
    print(f"from interrupted to running, in seconds: {sorted(waits)}")
    assert len(waits) >= 4, "few runs were interrupted"
    assert max(waits) < 3
    assert {worker["name"] for worker in web.get("/workers")["workers"]} == {w.name for w in fleet.running_workers()}
    fleet.assert_queue_empty()


def test_jobs_wait_for_a_worker_that_takes_their_kind_and_go_in_order(fleet: Fleet) -> None:
    web = fleet.start_web(JOBSVC_MAX_QUEUED="3")
    assert web.get("/readyz") == {"status": "ready", "workers": 0}
    assert web.get("/workers") == {"workers": []}
    jobs = [fleet.ticks(10) for _ in range(3)]
    status, answer = web.post("/kinds/ticks/jobs", {"count": 10})
    assert (status, answer["type"]) == (503, "urn:jobsvc:queue-full")
    fleet.start_worker(queues="baselineCSV")
    assert web.get("/readyz") == {"status": "ready", "workers": 1}
    web.post(f"/jobs/{jobs[1]}/terminate")
    # Has the place that the other one has left; a worker of another kind leaves all of them alone.
    jobs.append(fleet.ticks(10))
    assert {web.job(job_id)["state"] for job_id in jobs if job_id != jobs[1]} == {"queued"}
    fleet.start_worker(concurrency=1, queues="ticks,bulkTeam")
    fleet.wait_all([job_id for job_id in jobs if job_id != jobs[1]])
    began = [web.job(job_id)["started_at"] for job_id in jobs if job_id != jobs[1]]
    assert began == sorted(began)
    assert web.job(jobs[1])["attempt"] == 0
    told = {worker["name"]: worker for worker in web.get("/workers")["workers"]}
    assert told["worker-1"]["queues"] == ["ticks", "bulkTeam"]
    assert told["worker-1"]["concurrency"] == 1
    assert told["worker-1"]["alive"]
    fleet.assert_queue_empty()


def test_a_paused_job_gives_its_slot_back(fleet: Fleet) -> None:
    web = fleet.start_web()
    fleet.start_worker(concurrency=1)
    first, second = fleet.ticks(1_000_000), fleet.ticks(50)
    poll(lambda: web.job(first)["progress"]["done"] > 0, 20, "the first job to be under way")
    assert web.job(second)["state"] == "queued"
    assert web.get("/workers")["workers"][0]["running"] == [
        {"id": first, "kind": "ticks", "state": "running", "attempt": 1, "links": {"self": f"/jobs/{first}"}}
    ]
    status, job = web.post(f"/jobs/{first}/pause")
    assert (status, job["state"]) == (200, "paused")
    fleet.wait_all([second])
    status, job = web.post(f"/jobs/{first}/terminate")
    assert (status, job["state"]) == (200, "terminated")


@pytest.mark.parametrize("first", ["fleet", "threads"])
def test_a_database_belongs_to_a_fleet_or_to_one_process(make_fleet: Callable[..., Fleet], first: str) -> None:
    one = make_fleet(**FAST, JOBSVC_ENGINE=first)
    one.start_web()
    other = make_fleet(**FAST, JOBSVC_ENGINE="threads" if first == "fleet" else "fleet")
    with pytest.raises(AssertionError, match="JOBSVC_ENGINE=fleet"):
        other.start_web()
    assert "Traceback" not in other.webs[0].log.read_text()
    if first == "threads":
        worker = other.start_worker(wait=False)
        assert worker.process.wait(30) == 1
        assert "Start that one with JOBSVC_ENGINE=fleet too" in worker.log.read_text()


def test_a_worker_says_what_is_wrong_with_how_it_was_started(make_fleet: Callable[..., Fleet]) -> None:
    fleet = make_fleet()
    worker = fleet.start_worker(queues="baselineCSV,nothing", wait=False)
    assert worker.process.wait(30) == 1
    assert "--queues nothing: the kinds are baselineCSV, bulkTeam, createExport, ticks" in worker.log.read_text()
    alone = make_fleet(JOBSVC_ENGINE="threads").start_worker(wait=False)
    assert alone.process.wait(30) == 1
    assert "JOBSVC_ENGINE=threads must be fleet" in alone.log.read_text()
