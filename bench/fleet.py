"""A fleet: workers beside each other, stops from another process, a worker that is killed.

With PostgreSQL's default settings, on the same machine as everything else.
"""

from __future__ import annotations

import csv
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import psycopg

from bench.client import Client
from bench.measure import Stopwatch, middle_pair, percentile
from bench.report import Row, at_most, times, unjudged
from bench.workshop import DATE_COLUMN, Workshop, wait_until
from tests.support.fleet import Fleet, OwnPostgresql

LOOP_AT_LEAST = 0.9
TWO_WORKERS_AT_LEAST = 1.7
PAUSE_AT_MOST_MS = 100
GOES_ON_WITHIN_SECONDS = 10
CORES_NEEDED = 4
"""Two for the workers; PostgreSQL and the web server want the others."""

LOOP_BATCHES = (1000, 8000)
"""Rows that the obvious loop commits together. The faster one counts."""

WORKERS, SLOTS = 2, 2
"""Of the fleet whose jobs are paused: all slots are busy."""


def rows(workshop: Workshop) -> Iterator[Row]:
    of_two, of_one = [], []
    rounds = workshop.scale.rounds
    for number in range(rounds):
        with own_postgresql(workshop) as postgresql:
            with fleet_on(workshop, postgresql, 1, concurrency=1) as fleet:
                one, two = _speeds(workshop, fleet)
                if number == rounds - 1:
                    for worker in fleet.running_workers():
                        worker.stop()
                    for _ in range(WORKERS):
                        fleet.start_worker(SLOTS)
                    made = [pause.milliseconds for pause in _pause_many(fleet, workshop, workshop.scale.pauses)]
                    slowest = max(_goes_on_after(fleet) for _ in range(rounds))
            of_two.append((two, one))
            of_one.append((one, loop_speed(workshop, postgresql)))
    against = "obvious loop with COPY"
    yield times(
        "fleet: one worker, one job", *middle_pair(of_one), unit="rows/s", against=against, at_least=LOOP_AT_LEAST
    )
    speed = times(
        "fleet: two workers, a job each",
        *middle_pair(of_two),
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
    what = f"fleet: pause answered across processes, p99 of {len(made)}"
    yield at_most(what, percentile(made, 99), PAUSE_AT_MOST_MS, unit="ms")
    what = f"fleet: a killed worker's job goes on, slowest of {rounds}"
    yield at_most(what, slowest, GOES_ON_WITHIN_SECONDS, unit="s")


@contextmanager
def own_postgresql(workshop: Workshop) -> Iterator[OwnPostgresql]:
    postgresql = OwnPostgresql(workshop.fresh_path("postgresql"))
    try:
        yield postgresql
    finally:
        postgresql.stop()


@contextmanager
def fleet_on(
    workshop: Workshop, postgresql: OwnPostgresql, workers: int, concurrency: int, **settings: str
) -> Iterator[Fleet]:
    directory = workshop.fresh_path("fleet")
    directory.mkdir()
    fleet = Fleet(directory, postgresql.url, **settings)
    try:
        fleet.start_web()
        for _ in range(workers):
            fleet.start_worker(concurrency)
        yield fleet
    finally:
        fleet.close()


@contextmanager
def fleet_of(workshop: Workshop, workers: int, concurrency: int, **settings: str) -> Iterator[Fleet]:
    """One on a PostgreSQL of its own."""
    with (
        own_postgresql(workshop) as postgresql,
        fleet_on(workshop, postgresql, workers, concurrency, **settings) as fleet,
    ):
        yield fleet


def _speeds(workshop: Workshop, fleet: Fleet) -> tuple[float, float]:
    """Rows a second of one worker with one job, and then, with another worker, of two with a job each."""
    one = _speed(workshop, fleet, 1)
    fleet.start_worker(concurrency=1)
    return one, _speed(workshop, fleet, WORKERS)


def _speed(workshop: Workshop, fleet: Fleet, jobs: int) -> float:
    """Rows a second of so many jobs, from the last upload's answer to the end."""
    file = workshop.part(workshop.scale.import_rows)
    began = fleet.total_done()
    ids = [fleet.webs[0].upload(file, date_column=DATE_COLUMN) for _ in range(jobs)]
    watch = Stopwatch()
    already = fleet.total_done() - began
    fleet.wait_all(ids)
    return (jobs * workshop.scale.import_rows - already) / watch.seconds


def loop_speed(workshop: Workshop, postgresql: OwnPostgresql) -> float:
    """Rows a second of what people write first: csv.reader, json.dumps, COPY row by row; committed with each batch.

    Removes all records that are there.
    """
    with psycopg.connect(postgresql.url) as connection:
        return max(_loop(workshop, connection, batch) for batch in LOOP_BATCHES)


def _loop(workshop: Workshop, connection: psycopg.Connection[Any], batch: int) -> float:
    file, count = workshop.part(workshop.scale.import_rows), workshop.scale.import_rows
    connection.execute("TRUNCATE records")
    connection.commit()
    with file.open(newline="", encoding="utf-8") as text:
        watch = Stopwatch()
        reader = csv.reader(text)
        date = next(reader).index(DATE_COLUMN)
        numbered = ((1, row, fields[date][:10], json.dumps(fields)) for row, fields in enumerate(reader, 1))
        while some := list(islice(numbered, batch)):
            with (
                connection.cursor() as cursor,
                cursor.copy('COPY records (job_key, "row", date, data) FROM STDIN') as copy,
            ):
                for values in some:
                    copy.write_row(values)
            connection.commit()
        seconds = watch.seconds
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (count,)
    return count / seconds


@dataclass(frozen=True)
class Pause:
    """One that a run has obeyed. Its moments are on the monotonic clock, in seconds."""

    job_id: str
    begun: float
    ended: float

    @property
    def milliseconds(self) -> float:
        return (self.ended - self.begun) * 1000


def pauses(workshop: Workshop, count: int, **settings: str) -> list[Pause]:
    """So many pauses, each answered through a web process that runs nothing, while all slots are busy."""
    with fleet_of(workshop, WORKERS, SLOTS, **settings) as fleet:
        return _pause_many(fleet, workshop, count)


def _pause_many(fleet: Fleet, workshop: Workshop, count: int) -> list[Pause]:
    """Leaves nothing behind that runs."""
    file = workshop.part(workshop.scale.steered_rows)
    chance = random.Random(1)
    made: list[Pause] = []
    client = Client(fleet.webs[0].port)
    while len(made) < count:
        running = _in_state(client, "running")
        if len(running) < WORKERS * SLOTS:
            # One that was resumed is queued for a moment.
            if not _in_state(client, "queued"):
                fleet.webs[0].upload(file, date_column=DATE_COLUMN)
            continue
        time.sleep(chance.uniform(0, 0.05))
        job_id = chance.choice(running)
        begun = time.monotonic()
        answer = client.post(f"/jobs/{job_id}/pause")
        ended = time.monotonic()
        if answer.status == 200 and answer.json["state"] == "paused":
            made.append(Pause(job_id, begun, ended))
            client.post(f"/jobs/{job_id}/resume")
    for job_id in [*_in_state(client, "running"), *_in_state(client, "queued")]:
        client.post(f"/jobs/{job_id}/terminate?wait=30")
    return made


def _in_state(client: Client, state: str) -> list[str]:
    return [job["id"] for job in client.get(f"/jobs?state={state}").json["jobs"]]


def _goes_on_after(fleet: Fleet) -> float:
    """Seconds from a worker's SIGKILL until its job runs again, with default settings."""
    job_id = fleet.ticks(100_000)
    # A worker that has taken the job's entry, and has not begun the run, has lost no attempt.
    wait_until(lambda: bool(fleet.webs[0].job(job_id)["state"] == "running"))
    victim = fleet.worker_of(job_id)
    assert victim is not None
    watch = Stopwatch()
    victim.kill()
    wait_until(lambda: bool(fleet.webs[0].job(job_id)["attempt"] == 2))
    seconds = watch.seconds
    fleet.webs[0].post(f"/jobs/{job_id}/terminate?wait=30")
    fleet.start_worker(SLOTS)
    return seconds
