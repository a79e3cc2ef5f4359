"""The rollback of an upload: rows a second from the request to the last row's removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.measure import Stopwatch, middle_pair
from bench.report import Row, times
from bench.workshop import Running, Workshop, wait_until

AT_LEAST = 2.0


def rows(workshop: Workshop) -> Iterator[Row]:
    count = workshop.scale.import_rows
    file = workshop.part(count)
    pairs = []
    for _ in range(workshop.scale.rounds):
        with workshop.server() as running:
            job_id, importing = _imported(running, file)
            pairs.append((count / _rolled_back(running, job_id), count / importing))
    yield times("rollback", *middle_pair(pairs), unit="rows/s", against="import", at_least=AT_LEAST)


def _imported(running: Running, file: Path) -> tuple[str, float]:
    """The job's id, and seconds."""
    job_id = running.upload(file)
    watch = Stopwatch()
    running.wait_succeeded(job_id)
    return job_id, watch.seconds


def _rolled_back(running: Running, job_id: str) -> float:
    watch = Stopwatch()
    answer = running.client.post(f"/jobs/{job_id}/terminate?wait=0", {"rollback": True})
    assert answer.status in (200, 202), answer
    wait_until(lambda: running.server.query("SELECT rolled_back FROM jobs WHERE id = ?", job_id) == [(1,)])
    seconds = watch.seconds
    assert running.job(job_id)["progress"]["done"] == 0
    return seconds
