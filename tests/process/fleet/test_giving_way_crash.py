"""The same in a fleet: kill -9 for a worker in the very moment in which a job gives way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fleet import FAST, Fleet
from tests.support.held import COUNT, KIND, assert_given_way, held
from tests.support.waiting import poll


@pytest.mark.parametrize(("at", "state"), [("before", "running"), ("after", "queued")])
def test_a_job_whose_worker_is_killed_while_it_gives_way_goes_on_and_has_each_row_once(
    make_fleet: Callable[..., Fleet], tmp_path: Path, at: str, state: str
) -> None:
    fleet = make_fleet(**FAST, JOBSVC_KINDS=KIND, **held(tmp_path, at))
    web = fleet.start_web()
    worker = fleet.start_worker(concurrency=1)
    low = fleet.ticks(COUNT)
    poll(lambda: web.stored(low)[1] > 0, 30, "the first row")
    high = fleet.ticks(COUNT, priority="high")
    poll((tmp_path / "reached").exists, 30, f"the job to give way\n{fleet.story()}")
    assert web.stored(low)[0] == state
    worker.kill()
    assert web.query("SELECT state, gives_way FROM jobs WHERE id = ?", low) == [(state, at == "before")]
    fleet.start_worker(concurrency=1, wait=False)
    assert_given_way(web, low, high)
    fleet.assert_queue_empty()
