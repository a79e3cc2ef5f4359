"""Many jobs at once, against one job of as many rows: total rows a second from the moment when all are let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from bench.measure import Stopwatch, middle_pair
from bench.report import Measured, Series, times
from bench.workshop import Running, Workshop

AT_LEAST = 0.9
SLOWEST_AT_LEAST = 0.5

NUMBERS = (1, 2, 4, 8, 16, 32, 64)
"""For the plot: so many jobs at once, a slot for each, of as many rows in all."""


class Crowd(NamedTuple):
    """Rows a second of many jobs that began together."""

    total: float
    slowest: float
    fastest: float


def rows(workshop: Workshop) -> Iterator[Measured]:
    jobs = workshop.scale.crowd
    a_slot_each = {"JOBSVC_MAX_RUNNING": str(jobs)}
    all_slots, default_slots, spread = [], [], []
    for _ in range(workshop.scale.rounds):
        one = _many(workshop, 1).total
        crowd = _many(workshop, jobs, **a_slot_each)
        all_slots.append((crowd.total, one))
        spread.append((crowd.slowest, crowd.fastest))
        default_slots.append((_many(workshop, jobs).total, one))
    for what, pairs in (
        (f"{jobs} jobs at once, a slot for each", all_slots),
        (f"{jobs} jobs at once, the default 8 slots", default_slots),
    ):
        yield times(what, *middle_pair(pairs), unit="rows/s", against="one job", at_least=AT_LEAST)
    what = f"the slowest of {jobs} jobs, a slot for each"
    yield times(what, *middle_pair(spread), unit="rows/s", against="the fastest", at_least=SLOWEST_AT_LEAST)
    if workshop.scale.plots:
        what = f"{jobs} jobs, from the first upload on, the default 8 slots"
        arriving = [(_arriving(workshop, jobs), _arriving(workshop, 1)) for _ in range(workshop.scale.rounds)]
        yield times(what, *middle_pair(arriving), unit="rows/s", against="one job", at_least=None)
        speeds = [(number, _many(workshop, number, **a_slot_each).total) for number in NUMBERS]
        yield Series("many jobs", "jobs at once", "rows a second in all", tuple(speeds))


def _many(workshop: Workshop, jobs: int, **settings: str) -> Crowd:
    """Jobs that are all there, paused near their beginning, and are resumed by one request."""
    each = workshop.scale.crowd * workshop.scale.crowd_rows // jobs
    file = workshop.part(each)
    with workshop.server(None, **settings) as running:
        left = {}
        for _ in range(jobs):
            job_id = running.upload(file)
            left[job_id] = each - _rows_at_pause(running, job_id)
        begun, watch = datetime.now(UTC), Stopwatch()
        answer = running.client.post("/jobs/actions?wait=0", {"action": "resume", "state": "paused"})
        assert answer.status in (200, 202), answer
        running.wait_succeeded(*left)
        seconds = watch.seconds
        speeds = [left[job_id] / (running.finished_at(job_id) - begun).total_seconds() for job_id in left]
    return Crowd(sum(left.values()) / seconds, min(speeds), max(speeds))


def _rows_at_pause(running: Running, job_id: str) -> int:
    """Pause a job that has just been uploaded; returns how many rows it had done by then."""
    answer = running.pause(job_id)
    assert answer.status == 200, answer
    assert answer.json["state"] == "paused", answer
    done: int = answer.json["progress"]["done"]
    return done


def _arriving(workshop: Workshop, jobs: int) -> float:
    """Rows a second of jobs that are uploaded one after the other, and begin as soon as they are."""
    each = workshop.scale.crowd * workshop.scale.crowd_rows // jobs
    file = workshop.part(each)
    with workshop.server() as running:
        watch = Stopwatch()
        running.wait_succeeded(*[running.upload(file) for _ in range(jobs)])
        return jobs * each / watch.seconds
