"""What paused jobs cost: memory, while their threads are kept and after, and processor time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import KIB, cpu_seconds, memory
from bench.report import Row, at_most, unjudged
from bench.workshop import Running, Workshop, wait_until

KIND = "bench.crawling:Crawling"
ROUTE = "/kinds/crawling/jobs"

SLOTS = 50
"""So many are begun and paused together; a page of running jobs holds them."""

BLOCKED_AT_MOST_KB = 20
PARKED_AT_MOST_KB = 1
GO_KB = 21.6
"""Memory of one paused job of the original Go service; measured once, since it can't be run here."""

ENOUGH_JOBS = 1000
"""Of fewer, what all share has too large a part in the memory of each."""

CPU_AT_MOST_SECONDS = 0.05
CPU_WITHIN_SECONDS = 10.0


def rows(workshop: Workshop) -> Iterator[Row]:
    scale = workshop.scale
    blocked, cpu = _pause_many(workshop, scale.blocked_jobs, park_after=3600)
    what, against = f"memory of a paused job, of {scale.blocked_jobs:,}, blocked", "Go, measured before"
    row = at_most(what, blocked, BLOCKED_AT_MOST_KB, unit="KB", reference=GO_KB, against=against)
    yield row if scale.blocked_jobs >= ENOUGH_JOBS else unjudged(row, "too few to judge")
    parked, _ = _pause_many(workshop, scale.parked_jobs, park_after=0)
    what = f"memory of a paused job, of {scale.parked_jobs:,}, parked"
    row = at_most(what, parked, PARKED_AT_MOST_KB, unit="KB", digits=2)
    yield row if scale.parked_jobs >= ENOUGH_JOBS else unjudged(row, "too few to judge")
    most = CPU_AT_MOST_SECONDS * scale.quiet_seconds / CPU_WITHIN_SECONDS
    what = f"CPU of {scale.blocked_jobs:,} paused jobs over {scale.quiet_seconds:.0f} s"
    yield at_most(what, cpu, most, unit="s", digits=2)


def _pause_many(workshop: Workshop, count: int, park_after: int) -> tuple[float, float]:
    """Memory per paused job in KB, and the processor time that all of them use while nobody asks."""
    file = workshop.part(10)
    batches = count // SLOTS
    # The first ones bring what all share: code, the database's caches, the allocator's arenas.
    warming = max(1, batches // 10)
    with workshop.server(
        JOBSVC_KINDS=KIND, JOBSVC_MAX_RUNNING=str(SLOTS), JOBSVC_PARK_AFTER=str(park_after)
    ) as running:
        for _ in range(warming):
            _pause_some(running, file)
        before = memory(running.pid)
        for _ in range(batches - warming):
            _pause_some(running, file)
        # Threads that end have some moments for it.
        time.sleep(1.0)
        per_job = (memory(running.pid) - before) / ((batches - warming) * SLOTS) / KIB
        cpu = cpu_seconds(running.pid)
        time.sleep(workshop.scale.quiet_seconds)
        return per_job, cpu_seconds(running.pid) - cpu


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
        assert answer.json["attempt"] == 1, "the job never ran, and so has no thread"
