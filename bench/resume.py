"""How long a resume takes to its first item, near the end of a large file and at its beginning."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from bench.measure import Stopwatch, middle_pair_by_difference
from bench.report import Row, at_most_more
from bench.workshop import Running, Workshop, wait_until
from tests.support.waiting import poll

FAR_PERCENT = 90
MAX_MORE_MS = 20

ITEM_SECONDS = 30.0

LOOK_SECONDS = 0.001
"""How often the database is looked at for the first item: directly, since the API costs too much at this rate."""


def rows(workshop: Workshop) -> Iterator[Row]:
    file = workshop.large()
    # One slot: while the first job is on its way, the second is paused before it begins.
    with workshop.server(JOBSVC_MAX_RUNNING="1") as running:
        far = running.upload(file)
        near = running.upload(file)
        assert running.pause(near).json["attempt"] == 0
        wait_until(lambda: bool(running.job(far)["progress"]["percent"] >= FAR_PERCENT))
        assert running.pause(far).json["state"] == "paused"
        pairs = [(_first_item(running, far), _first_item(running, near)) for _ in range(workshop.scale.first_items)]
    what = f"first item after resume at {FAR_PERCENT} % of {file.stat().st_size / 1e6:.0f} MB"
    yield at_most_more(what, *middle_pair_by_difference(pairs), MAX_MORE_MS, unit="ms", against="at 0 %")


def _first_item(running: Running, job_id: str) -> float:
    """Milliseconds from the request to resume until an item has taken effect."""
    with closing(sqlite3.connect(f"file:{running.server.data_dir / 'jobsvc.db'}?mode=ro", uri=True)) as database:

        def done() -> int:
            count: int = database.execute("SELECT done FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
            return count

        before = done()
        watch = Stopwatch()
        running.resume(job_id)
        # One that was paused behind its last row has none left: that must not be waited for without end.
        poll(lambda: done() != before, ITEM_SECONDS, f"an item of {job_id} after {before}", LOOK_SECONDS)
        seconds = watch.seconds
    answer = running.pause(job_id)
    assert answer.json["state"] == "paused", answer
    return seconds * 1000
