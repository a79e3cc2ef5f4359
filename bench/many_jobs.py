"""64 jobs at once, against one job of as many rows: total rows a second, uploads included."""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure import Stopwatch, middle_pair
from bench.report import Row, times
from bench.workshop import Running, Workshop, wait_until

JOBS = 64
AT_LEAST = 1.0


def rows(workshop: Workshop) -> Iterator[Row]:
    all_running, default_slots = [], []
    for _ in range(workshop.scale.rounds):
        all_running.append((_many(workshop, JOBSVC_MAX_RUNNING=str(JOBS)), one := _one(workshop)))
        default_slots.append((_many(workshop), one))
    for what, pairs in (
        (f"{JOBS} jobs at once, a slot for each", all_running),
        (f"{JOBS} jobs at once, the default 8 slots", default_slots),
    ):
        yield times(what, *middle_pair(pairs), unit="rows/s", against="one job", at_least=AT_LEAST)


def _many(workshop: Workshop, **settings: str) -> float:
    file = workshop.part(workshop.scale.crowd_rows)
    with workshop.server(None, **settings) as running:
        watch = Stopwatch()
        for _ in range(JOBS):
            running.upload(file)
        _wait_all_ended(running)
        seconds = watch.seconds
        assert len(running.in_state("succeeded")) == JOBS
    return JOBS * workshop.scale.crowd_rows / seconds


def _one(workshop: Workshop) -> float:
    count = JOBS * workshop.scale.crowd_rows
    file = workshop.part(count)
    with workshop.server() as running:
        watch = Stopwatch()
        running.wait_succeeded(running.upload(file))
        return count / watch.seconds


def _wait_all_ended(running: Running) -> None:
    wait_until(lambda: not running.in_state("queued") and not running.in_state("running"))
