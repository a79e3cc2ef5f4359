"""Requests that wait for a job that another process changes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

from tests.support.fleet import FAST, Fleet, OwnPostgresql
from tests.support.waiting import TIMEOUT, poll

SOON_SECONDS = 5.0
"""It takes milliseconds, and where nobody tells of it a quarter of a second; a busy machine may take longer."""


def test_a_change_by_another_process_is_heard_of(fleet: Fleet) -> None:
    """Two web processes and a worker: who writes is never the process whose client waits, or seldom."""
    web, other = fleet.start_web(2), fleet.start_web()
    job_id = fleet.ticks(10**6)
    with ThreadPoolExecutor(1) as aside:
        began = aside.submit(web.get, f"/jobs/{job_id}?wait=30&unless=queued")
        fleet.start_worker()
        assert began.result(TIMEOUT)["state"] == "running"

        job = web.job(job_id)
        begun = monotonic()
        moved = web.get(f"/jobs/{job_id}?wait=30&unless={job['version']}")
        assert monotonic() - begun < SOON_SECONDS
        assert moved["state"] == "running"
        assert moved["progress"]["done"] > job["progress"]["done"]

        paused = aside.submit(web.get, f"/jobs/{job_id}?wait=30&unless=running")
        assert not paused.done()
        status, told = other.post(f"/jobs/{job_id}/pause?wait=30")
        assert (status, told["state"]) == (200, "paused")
        begun = monotonic()
        assert paused.result(TIMEOUT)["state"] in ("pausing", "paused")
        assert monotonic() - begun < SOON_SECONDS


def test_who_waits_while_the_database_goes_away_is_told(make_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    postgresql = OwnPostgresql(tmp_path / "postgresql")
    fleet = make_fleet(postgresql.url, **FAST)
    web = fleet.start_web()
    job_id = fleet.ticks(10)

    def wait() -> tuple[int, str, str | None]:
        try:
            with urlopen(f"{web.url}/jobs/{job_id}?wait=30&unless=queued", timeout=TIMEOUT) as answer:
                return answer.status, json.load(answer)["state"], None
        except HTTPError as error:
            return error.code, json.load(error)["type"], error.headers["Retry-After"]

    def sessions() -> int:
        return int(fleet.query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%jobs.id IN%%'")[0][0])

    with ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(wait)
        # Often: the session that has looked may ask something else the next moment.
        poll(lambda: sessions() > 1, TIMEOUT, "the request to be looked for", every=0.005)
        postgresql.stop()
        try:
            status, problem, after = waiting.result(TIMEOUT)
        finally:
            postgresql.start()
    assert (status, problem) == (503, "urn:jobsvc:database-down")
    assert after is not None
    poll(lambda: wait_ready(web.url), TIMEOUT, "the service to be ready again")
    assert web.get(f"/jobs/{job_id}?wait=0.5&unless=queued")["state"] == "queued"


def wait_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/readyz", timeout=TIMEOUT) as answer:
            return bool(answer.status == 200)
    except (HTTPError, OSError, http.client.HTTPException):
        return False
