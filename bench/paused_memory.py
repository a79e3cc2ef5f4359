"""What paused jobs cost with default settings: memory, and processor time. Each was running when it was paused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import KIB, MIB, cpu_seconds, memory
from bench.report import Measured, Row, Series, at_most, unjudged
from bench.workshop import Running, Workshop, wait_until
from jobsvc.settings import Settings

KIND = "bench.crawling:Crawling"
ROUTE = "/kinds/crawling/jobs"

SLOTS = Settings().max_running
"""So many are begun and paused together."""

AT_MOST_KB = 5
GO_KB = 21.6
"""Memory of one paused job of the original Go service; measured once, since it can't be run here."""

ENOUGH_JOBS = 1000
"""Of fewer, what all share has too large a part in the memory of each."""

CPU_AT_MOST_SECONDS = 0.05
CPU_WITHIN_SECONDS = 10.0


def rows(workshop: Workshop) -> Iterator[Measured]:
    count, quiet = workshop.scale.paused_jobs, workshop.scale.quiet_seconds
    with workshop.server(JOBSVC_KINDS=KIND) as running:
        points = _pause_many(running, workshop.part(10), count, workshop.scale.memory_points)
        cpu = cpu_seconds(running.pid)
        time.sleep(quiet)
        cpu = cpu_seconds(running.pid) - cpu
    yield Series("paused memory", "paused jobs", "memory of the process in MB", tuple(points))
    (_, idle), first, *_, last = points
    yield _memory_row(f"memory of a paused job, of {count:,}, over the idle process", (0.0, idle), last, count)
    yield _memory_row(f"memory of a paused job, of {count:,}, without the first part", first, last, count)
    most = CPU_AT_MOST_SECONDS * quiet / CPU_WITHIN_SECONDS
    yield at_most(f"CPU of {count:,} paused jobs over {quiet:.0f} s", cpu, most, unit="s", digits=2)


def _memory_row(what: str, begin: tuple[float, float], end: tuple[float, float], count: int) -> Row:
    """What each job takes between two points of (jobs, MB)."""
    each = (end[1] - begin[1]) * MIB / KIB / (end[0] - begin[0])
    row = at_most(what, each, AT_MOST_KB, unit="KB", reference=GO_KB, against="Go, measured before")
    return row if count >= ENOUGH_JOBS else unjudged(row, "too few to judge")


def _pause_many(running: Running, file: Path, count: int, parts: int) -> list[tuple[float, float]]:
    """Pause about so many jobs; returns (paused jobs, memory in MB) before them, and after each of so many parts."""
    points, paused = [(0.0, memory(running.pid) / MIB)], 0
    for part in range(1, parts + 1):
        while paused < count * part // parts:
            _pause_some(running, file)
            paused += SLOTS
        # Threads that end have some moments for it.
        time.sleep(1.0)
        points.append((float(paused), memory(running.pid) / MIB))
    return points


def _pause_some(running: Running, file: Path) -> None:
    """Fill the slots, and pause what runs in them."""
    ids = []
    for _ in range(SLOTS):
        answer = running.client.upload(file, ROUTE)
        assert answer.status == 201, answer
        ids.append(answer.json["id"])
    wait_until(lambda: len(running.in_state("running")) == SLOTS)
    for job_id in ids:
        answer = running.pause(job_id)
        assert answer.status == 200, answer
        assert answer.json["state"] == "paused", answer
        assert answer.json["attempt"] == 1, "the job never ran, and so has left nothing behind"
