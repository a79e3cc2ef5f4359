"""Actions on many jobs in a fleet, where any web process may carry them out."""

from __future__ import annotations

import signal

from tests.support.fleet import Fleet
from tests.support.waiting import poll

JOBS = 30
RUNNING = 3


def test_a_fleet_is_emptied_and_filled_again(fleet: Fleet) -> None:
    web = fleet.start_web(processes=2)
    fleet.start_worker(concurrency=RUNNING)
    jobs = [fleet.ticks(1_000_000) for _ in range(JOBS)]

    def count(state: str) -> int:
        return int(fleet.query("SELECT count(*) FROM jobs WHERE state = %s", state)[0][0])

    poll(lambda: count("running") == RUNNING, 60, f"{RUNNING} jobs to run")
    others = jobs[-2:]
    for job_id in others:
        assert web.post(f"/jobs/{job_id}/pause")[0] == 200
    status, pause = web.post("/jobs/actions", {"action": "pause", "wait": 30})
    assert (status, pause["done"], pause["already"], pause["stopping"]) == (200, JOBS - 2, 2, 0), pause
    assert count("paused") == JOBS
    before = fleet.total_done()
    status, resume = web.post("/jobs/actions", {"action": "resume", "paused_by": pause["id"], "wait": 30})
    assert (status, resume["done"]) == (200, JOBS - 2), resume
    poll(lambda: fleet.total_done() > before, 60, "the jobs to go on")
    assert [web.job(job_id)["state"] for job_id in others] == ["paused"] * 2
    status, ended = web.post("/jobs/actions", {"action": "terminate", "wait": 30})
    assert (status, ended["done"]) == (200, JOBS), ended
    assert count("terminated") == JOBS
    fleet.assert_queue_empty()
    assert web.stop(signal.SIGTERM) == 0
