"""Pausing and looking while all slots are busy."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

from bench.measure import percentile
from bench.report import Measured, Series, at_most
from bench.workshop import Running, Workshop, wait_until

SLOTS = 8
"""The default of JOBSVC_MAX_RUNNING."""

PAUSE_AT_MOST_MS = {8: 20, 64: 30}
LOOK_AT_MOST_MS = 20
LOOKS_PER_PAUSE = 4
IDLE_LOOKS = 200

HELD_SECONDS = 0.03
"""How long a job is left paused before what it has done is counted again."""


def rows(workshop: Workshop) -> Iterator[Measured]:
    points: list[tuple[float, float]] = []
    for submitted, most in PAUSE_AT_MOST_MS.items():
        load = _Load(workshop, submitted)
        load.measure()
        busy = f"{SLOTS} slots busy, {submitted} submitted"
        pauses = f"{len(load.pauses)} pauses"
        yield at_most(f"pause answered, p99 of {pauses}, {busy}", percentile(load.pauses, 99), most, unit="ms")
        yield at_most(f"took effect after the answer, {pauses}, {busy}", load.late_items, 0, unit="items", digits=0)
        yield at_most(
            f"GET /jobs/<id>, p99 of {len(load.looks)}, {busy}",
            percentile(load.looks, 99),
            LOOK_AT_MOST_MS,
            unit="ms",
            reference=percentile(load.idle_looks, 99),
            against="idle",
        )
        points += [(submitted, pause) for pause in load.pauses]
    yield Series("pauses", "jobs submitted", "ms until a pause was answered", tuple(points))


class _Load:
    """A server with all slots busy, on which one running job after another is paused and resumed. Times are in ms."""

    def __init__(self, workshop: Workshop, submitted: int) -> None:
        self._workshop = workshop
        self._submitted = submitted
        self._file = workshop.part(workshop.scale.steered_rows // (1 if submitted <= SLOTS else 4))
        self._chance = random.Random(submitted)
        self.pauses: list[float] = []
        self.looks: list[float] = []
        self.idle_looks: list[float] = []
        self.late_items = 0

    def measure(self) -> None:
        with self._workshop.server() as running:
            first = running.upload(self._workshop.part(1000))
            running.wait_succeeded(first)
            idle = min(IDLE_LOOKS, LOOKS_PER_PAUSE * self._workshop.scale.pauses)
            self.idle_looks = [self._look(running, first) for _ in range(idle)]
            with closing(sqlite3.connect(f"file:{running.server.data_dir / 'jobsvc.db'}?mode=ro", uri=True)) as rows:
                while len(self.pauses) < self._workshop.scale.pauses:
                    busy = self._fill(running)
                    time.sleep(self._chance.uniform(0, HELD_SECONDS))
                    self._pause(running, rows, self._chance.choice(busy))

    def _fill(self, running: Running) -> list[str]:
        """See to it that all slots are busy and as many jobs as there should be are unfinished; returns who runs."""
        unfinished = len(running.in_state("running")) + len(running.in_state("queued"))
        for _ in range(self._submitted - unfinished):
            running.upload(self._file)
        wait_until(lambda: len(running.in_state("running")) == SLOTS or not running.in_state("queued"))
        return running.in_state("running")

    def _pause(self, running: Running, rows: sqlite3.Connection, job_id: str) -> None:
        answer = running.pause(job_id)
        if answer.status == 409 or answer.json["state"] == "succeeded":
            return
        assert answer.status == 200, answer
        assert answer.json["state"] == "paused", answer
        self.pauses.append(answer.seconds * 1000)
        self.looks += [self._look(running, job_id) for _ in range(LOOKS_PER_PAUSE)]
        time.sleep(HELD_SECONDS)
        # No row of the file is refused, so that the last row's number is how many took effect.
        in_database = "SELECT coalesce(max(row), 0) FROM records WHERE job_key = (SELECT key FROM jobs WHERE id = ?)"
        self.late_items += abs(rows.execute(in_database, (job_id,)).fetchone()[0] - answer.json["progress"]["done"])
        running.resume(job_id)

    def _look(self, running: Running, job_id: str) -> float:
        return running.client.get(f"/jobs/{job_id}").seconds * 1000
