"""A fleet: workers beside each other, stops from another process, a worker that is killed.

With PostgreSQL's default settings, on the same machine as everything else.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.client import Client
from bench.measure import Stopwatch, middle_pair, percentile
from bench.report import Row, at_most, times, unjudged
from bench.workshop import Workshop, wait_until
from tests.support.fleet import Fleet, OwnPostgresql

TWO_WORKERS_AT_LEAST = 1.7
PAUSE_AT_MOST_MS = 150
GOES_ON_WITHIN_SECONDS = 15
CORES_NEEDED = 4
"""Two for the workers; PostgreSQL and the web server want the others."""


def rows(workshop: Workshop) -> Iterator[Row]:
    pairs = [(_speed(workshop, 2), _speed(workshop, 1)) for _ in range(workshop.scale.rounds)]
    speed = times(
        "fleet: two workers, a job each",
        *middle_pair(pairs),
        unit="rows/s",
        against="one worker, one job",
        at_least=TWO_WORKERS_AT_LEAST,
    )
    cores = len(os.sched_getaffinity(0))
    yield (
        speed
        if cores >= CORES_NEEDED
        else unjudged(speed, f"at least 1.7 x on two free cores; here are {cores} in all")
    )
    pauses = _pauses(workshop)
    what = f"fleet: pause answered across processes, p99 of {len(pauses)}"
    yield at_most(what, percentile(pauses, 99), PAUSE_AT_MOST_MS, unit="ms")
    yield at_most("fleet: a killed worker's job goes on", _goes_on_after(workshop), GOES_ON_WITHIN_SECONDS, unit="s")


@contextmanager
def _fleet(workshop: Workshop, workers: int, concurrency: int) -> Iterator[Fleet]:
    directory = workshop.fresh_path("fleet")
    directory.mkdir()
    postgresql = OwnPostgresql(directory / "postgresql")
    fleet = Fleet(directory, postgresql.url)
    try:
        fleet.start_web()
        for _ in range(workers):
            fleet.start_worker(concurrency)
        yield fleet
    finally:
        fleet.close()
        postgresql.stop()


def _speed(workshop: Workshop, workers: int) -> float:
    """Rows a second of as many workers, with one job each, from the last upload's answer to the end."""
    file = workshop.part(workshop.scale.import_rows)
    with _fleet(workshop, workers, concurrency=1) as fleet:
        began = fleet.total_done()
        jobs = [fleet.webs[0].upload(file, date_column="time_hour") for _ in range(workers)]
        watch = Stopwatch()
        already = fleet.total_done() - began
        fleet.wait_all(jobs)
        return (workers * workshop.scale.import_rows - already) / watch.seconds


def _pauses(workshop: Workshop) -> list[float]:
    """How long the answers to pauses took, in ms, while two workers with two slots each are busy."""
    file = workshop.part(workshop.scale.steered_rows)
    chance = random.Random(1)
    taken: list[float] = []
    with _fleet(workshop, workers=2, concurrency=2) as fleet:
        client = Client(fleet.webs[0].port)
        while len(taken) < workshop.scale.pauses:
            running = [job["id"] for job in client.get("/jobs?state=running").json["jobs"]]
            if len(running) < 4:
                fleet.webs[0].upload(file, date_column="time_hour")
                continue
            job_id = chance.choice(running)
            answer = client.post(f"/jobs/{job_id}/pause")
            if answer.status == 200 and answer.json["state"] == "paused":
                taken.append(answer.seconds * 1000)
                client.post(f"/jobs/{job_id}/resume")
            time.sleep(chance.uniform(0, 0.05))
    return taken


def _goes_on_after(workshop: Workshop) -> float:
    """Seconds from a worker's SIGKILL until its job runs again, with default settings."""
    with _fleet(workshop, workers=2, concurrency=2) as fleet:
        job_id = fleet.ticks(100_000)
        wait_until(lambda: fleet.worker_of(job_id) is not None)
        victim = fleet.worker_of(job_id)
        assert victim is not None
        watch = Stopwatch()
        victim.kill()
        wait_until(lambda: bool(fleet.webs[0].job(job_id)["attempt"] == 2))
        return watch.seconds
