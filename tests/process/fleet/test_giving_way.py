"""A job with a high priority that comes in the very moment in which the last slot of a fleet is given away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.fleet import Fleet
from tests.support.held import COUNT, KIND, held
from tests.support.waiting import poll

LONG = 100_000


def test_a_high_job_that_comes_while_the_last_slot_is_given_away_takes_it_without_a_sweep(
    make_fleet: Callable[..., Fleet], tmp_path: Path
) -> None:
    fleet = make_fleet(JOBSVC_KINDS=KIND, **held(tmp_path, "taken"))
    web = fleet.start_web()
    fleet.start_worker(concurrency=1)
    low = fleet.ticks(LONG)
    poll((tmp_path / "reached").exists, 30, f"the worker to take the job\n{fleet.story()}")
    high = fleet.ticks(COUNT, priority="high")
    assert web.stored(low)[0] == "queued", "whoever sends the high one sees neither a free slot nor a job that has one"
    (tmp_path / "go").touch()
    # The sweeps of this fleet do nothing, and the other job lasts for minutes.
    web.wait_for(high, "succeeded", "failed", seconds=30)
    poll(lambda: web.stored(low)[0] == "running", 30, "the other job to go on")
    moves = [(line["from"], line["to"]) for line in fleet.history(low)]
    assert moves[:4] == [(None, "queued"), ("queued", "running"), ("running", "queued"), ("queued", "running")]
    fleet.assert_counted(high, COUNT)
