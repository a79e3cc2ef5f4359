"""Many jobs at once, against one job of as many rows: total rows a second, uploads included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from bench.measure import Stopwatch, middle_pair
from bench.report import Measured, Series, times
from bench.workshop import Running, Workshop

JOBS = 64
AT_LEAST = 0.9
SLOWEST_AT_LEAST = 0.5

NUMBERS = (1, 2, 4, 8, 16, 32, 64)
"""For the plot: so many jobs at once, a slot for each, of as many rows in all."""


class Crowd(NamedTuple):
    """Rows a second of many jobs that were there together."""

    total: float
    slowest: float
    fastest: float


def rows(workshop: Workshop) -> Iterator[Measured]:
    all_running, default_slots, spread = [], [], []
    for _ in range(workshop.scale.rounds):
        one = _many(workshop, 1).total
        crowd = _many(workshop, JOBS, JOBSVC_MAX_RUNNING=str(JOBS))
        all_running.append((crowd.total, one))
        spread.append((crowd.slowest, crowd.fastest))
        default_slots.append((_many(workshop, JOBS).total, one))
    for what, pairs in (
        (f"{JOBS} jobs at once, a slot for each", all_running),
        (f"{JOBS} jobs at once, the default 8 slots", default_slots),
    ):
        yield times(what, *middle_pair(pairs), unit="rows/s", against="one job", at_least=AT_LEAST)
    what = f"the slowest of {JOBS} jobs, a slot for each"
    yield times(what, *middle_pair(spread), unit="rows/s", against="the fastest", at_least=SLOWEST_AT_LEAST)
    if workshop.scale.plots:
        speeds = [(number, _many(workshop, number, JOBSVC_MAX_RUNNING=str(JOBS)).total) for number in NUMBERS]
        yield Series("many jobs", "jobs at once", "rows a second in all", tuple(speeds))


def _many(workshop: Workshop, jobs: int, **settings: str) -> Crowd:
    each = JOBS * workshop.scale.crowd_rows // jobs
    file = workshop.part(each)
    with workshop.server(None, **settings) as running:
        watch = Stopwatch()
        ids = [running.upload(file) for _ in range(jobs)]
        running.wait_succeeded(*ids)
        seconds = watch.seconds
        took = [_run_seconds(running, job_id) for job_id in ids]
    return Crowd(jobs * each / seconds, each / max(took), each / min(took))


def _run_seconds(running: Running, job_id: str) -> float:
    """From a job's begin to its end. Answers tell whole seconds; the database has it to the microsecond."""
    ((state, *times),) = running.server.query("SELECT state, started_at, finished_at FROM jobs WHERE id = ?", job_id)
    assert state == "succeeded", state
    begun, ended = map(datetime.fromisoformat, times)
    return (ended - begun).total_seconds()
