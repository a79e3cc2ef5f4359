"""kill -9 in the very moment in which a job gives way, before its commit and after it, with the engine `threads`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.held import COUNT, KIND, assert_given_way, held
from tests.support.server import Server
from tests.support.waiting import poll

pytestmark = pytest.mark.both_databases


@pytest.mark.parametrize(("at", "state"), [("before", "running"), ("after", "queued")])
def test_a_job_that_is_killed_while_it_gives_way_goes_on_and_has_each_row_once(
    make_server: Callable[..., Server], tmp_path: Path, at: str, state: str
) -> None:
    server = make_server(JOBSVC_KINDS=KIND, JOBSVC_MAX_RUNNING="1", **held(tmp_path, at)).start()
    low = server.post("/kinds/ticks/jobs", {"count": COUNT})[1]["id"]
    poll(lambda: server.stored(low)[1] > 0, 30, "the first row")
    high = server.post("/kinds/ticks/jobs", {"count": COUNT, "priority": "high"})[1]["id"]
    poll((tmp_path / "reached").exists, 30, "the job to give way")
    assert server.stored(low)[0] == state
    server.kill()
    assert server.query("SELECT state, gives_way FROM jobs WHERE id = ?", low) == [(state, at == "before")]
    server.start()
    assert_given_way(server, low, high)
