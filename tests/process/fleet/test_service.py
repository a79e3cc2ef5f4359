"""GET /service in a fleet: the web server runs nothing itself, and tells of all workers."""

from __future__ import annotations

from tests.support.fleet import Fleet
from tests.support.server import Server
from tests.support.waiting import poll

COUNT = 200

ROUNDING = 5
"""Rates have one decimal: of the items of twenty steps, some are rounded away."""


def told(web: Server) -> float:
    """How many items the throughput has."""
    return float(5 * sum(each["rate"] for each in web.get("/service")["throughput"]))


def test_slots_and_throughput_are_those_of_all_workers(fleet: Fleet) -> None:
    web = fleet.start_web()
    assert web.get("/service")["slots"] == {"total": 0, "used": 0, "free": 0}
    for _ in range(2):
        fleet.start_worker(concurrency=1)
    jobs = [fleet.ticks(COUNT) for _ in range(2)]
    poll(lambda: web.get("/service")["slots"] == {"total": 2, "used": 2, "free": 0}, 20, "both workers to be at work")
    fleet.wait_all(jobs)
    # The last five seconds are told when they are over.
    poll(lambda: told(web) >= 2 * COUNT - ROUNDING, 30, "all rows to be told")
    assert told(web) <= 2 * COUNT + ROUNDING
    for job_id in jobs:
        assert web.get(f"/jobs/{job_id}/samples")["samples"][-1]["done"] == COUNT
