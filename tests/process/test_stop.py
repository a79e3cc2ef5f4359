"""Stop means stop."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.server import Server
from tests.support.waiting import TIMEOUT, poll

STOPS = 30
MOST_ROWS = 200_000
"""Of the file's 336,776. No stop comes behind that: the run might end before it."""


def test_once_a_stop_is_answered_nothing_more_takes_effect(
    server: Server, flights: Path, chance: random.Random
) -> None:
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    stopped_at = [0]
    # The file is long enough for all of them, unless the machine is slow: then more is done until each is obeyed.
    while len(stopped_at) <= STOPS and stopped_at[-1] < MOST_ROWS:
        if stopped_at[-1] in stopped_at[:-1]:
            # On a slow machine, a run has hardly begun when a moment is over.
            poll(lambda: server.count_records(job_id) > stopped_at[-1], TIMEOUT, "further rows")
        else:
            time.sleep(chance.uniform(0, 0.025))
        if chance.random() < 0.5:
            status, answer = server.post(f"/updateTask?id={job_id}&action=stop")
            assert (status, answer) == (200, {"status": f"Job {job_id} stopped."})
        else:
            status, answer = server.post(f"/jobs/{job_id}/pause?wait=5")
            assert (status, answer["state"]) == (200, "paused"), answer
        rows = server.count_records(job_id)
        assert server.get("/readyz") == {"status": "ready"}
        job = server.job(job_id)
        assert job["state"] == "paused"
        assert server.count_records(job_id) == rows == job["progress"]["done"]
        stopped_at.append(rows)
        status, answer = server.post(f"/updateTask?id={job_id}&action=start")
        assert (status, answer) == (200, {"status": f"Job {job_id} started."})
    print(f"stopped at {stopped_at}")
    assert len(set(stopped_at)) > STOPS / 5, "the stops came while nothing was done: they show little"

    server.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(server.data_dir, job_id, flights)


def test_once_a_terminate_is_answered_nothing_more_takes_effect(
    server: Server, flights: Path, chance: random.Random
) -> None:
    for _ in range(8):
        job_id = server.upload(flights, date_column=DATE_COLUMN)
        time.sleep(chance.uniform(0, 0.4))
        status, answer = server.post(f"/updateTask?id={job_id}&action=terminate")
        assert (status, answer) == (200, {"status": f"Job {job_id} terminated."})
        rows = server.count_records(job_id)
        assert server.get("/readyz") == {"status": "ready"}
        job = server.job(job_id)
        assert job["state"] == "terminated"
        assert server.count_records(job_id) == rows == job["progress"]["done"]
