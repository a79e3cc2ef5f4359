"""Workers that go without a word: killed, or frozen and woken again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.process.fleet.conftest import PART_ROWS
from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once, expected_export
from tests.support.fleet import Fleet
from tests.support.waiting import poll

IMPORTS = 22
TEAM_FILES = 4
EXPORTS = 4
KILLS = 8
TICKS = 1500


def test_thirty_jobs_on_three_workers_that_are_killed_again_and_again_are_done_exactly_once(
    fleet: Fleet, part: Path, tmp_path: Path, chance: random.Random
) -> None:
    web = fleet.start_web()
    for _ in range(3):
        fleet.start_worker(wait=False)
    first = web.upload(part, date_column=DATE_COLUMN)
    fleet.wait_all([first])
    imports = [web.upload(part, date_column=DATE_COLUMN) for _ in range(IMPORTS)]
    teams = []
    for number in range(TEAM_FILES):
        file = tmp_path / f"teams-{number}.csv"
        file.write_text("team,members\n" + "".join(f"{number} {row},a{row};b{row}\n" for row in range(5000)))
        teams.append(web.upload(file, "/createBulkTeam"))
    exports = [web.export("2013-01-01", "2013-01-31", job=first) for _ in range(EXPORTS)]
    jobs = [*imports, *teams, *exports]
    total = (1 + IMPORTS) * PART_ROWS + TEAM_FILES * 5000
    for kill in range(KILLS):
        # Whenever some more has been done, however long that took.
        goal = PART_ROWS + int((total - PART_ROWS) * (kill + chance.random()) / (KILLS + 1))
        poll(lambda goal=goal: fleet.total_done() >= goal, 60, f"{goal} items of {total}\n{fleet.story()}")  # type: ignore[misc]
        chance.choice(fleet.running_workers()).kill()
        fleet.start_worker(wait=False)
    fleet.wait_all(jobs)
    for job_id in imports:
        assert_exactly_once(fleet.data_dir, job_id, part, fleet.url)
    for job_id in teams:
        found = fleet.query(
            "SELECT count(*), count(DISTINCT t.row), sum((SELECT count(*) FROM team_members m WHERE m.team_id = t.id)) "
            "FROM teams t WHERE t.job_key = (SELECT key FROM jobs WHERE id = %s)",
            job_id,
        )
        assert found == [(5000, 5000, 10_000)]
    wanted = expected_export(first, part, "2013-01-01", "2013-01-31")
    for job_id in exports:
        assert web.get_bytes(f"/jobs/{job_id}/result") == wanted
    attempts = fleet.query("SELECT max(attempt), sum(attempt) FROM jobs")[0]
    print(f"most attempts of a job: {attempts[0]}; attempts in all: {attempts[1]}")
    assert attempts[1] > len(jobs) + 1, "no run was hit by any kill"
    fleet.assert_queue_empty()


def test_with_default_settings_a_killed_worker_s_upload_goes_on_within_fifteen_seconds(
    make_fleet: Callable[..., Fleet], flights: Path
) -> None:
    fleet = make_fleet()
    web = fleet.start_web()
    for _ in range(2):
        fleet.start_worker()
    job_id = web.upload(flights, date_column=DATE_COLUMN)
    web.wait_done(job_id, 50_000)
    victim = fleet.worker_of(job_id)
    assert victim is not None
    victim.kill()
    killed = time.monotonic()
    poll(lambda: web.job(job_id)["attempt"] == 2, 30, f"another worker to go on\n{fleet.story()}")
    took = time.monotonic() - killed
    print(f"it went on after {took:.1f} s")
    assert took <= 15
    web.wait_for(job_id, "succeeded", "failed")
    assert_exactly_once(fleet.data_dir, job_id, flights, fleet.url)


def test_a_worker_that_was_frozen_within_an_item_until_it_was_given_up_does_nothing_more(
    fleet: Fleet, long_part: Path, part: Path
) -> None:
    web = fleet.start_web()
    frozen = fleet.start_worker(concurrency=3)
    # One that stands within its first items all the time.
    endless = fleet.ticks(100_000, batch=100_000)
    web.wait_for(endless, "running")
    ticks = fleet.ticks(TICKS)
    web.wait_done(ticks, 1)
    upload = web.upload(long_part, date_column=DATE_COLUMN)
    web.wait_done(upload, 10_000)
    frozen.signal(signal.SIGSTOP)
    at = fleet.query("SELECT state, done FROM jobs ORDER BY key")
    assert [state for state, _ in at] == ["running"] * 3, f"not all were running when it was frozen: {at}"
    other = fleet.start_worker()
    status, _ = web.post(f"/jobs/{endless}/terminate?wait=0", {})
    assert status == 202
    web.wait_for(endless, "terminated")
    fleet.wait_all([ticks, upload])
    before = fleet.query("SELECT id, state, attempt, done, cursor::text FROM jobs ORDER BY key")
    frozen.signal(signal.SIGCONT)
    assert frozen.process.wait(30) == -signal.SIGALRM, fleet.story()
    # What whoever looks after it would do.
    fleet.start_worker()
    other.stop()
    late = web.upload(part, date_column=DATE_COLUMN)
    fleet.wait_all([late], 60)
    assert (
        fleet.query("SELECT id, state, attempt, done, cursor::text FROM jobs WHERE id <> %s ORDER BY key", late)
        == before
    )
    assert_exactly_once(fleet.data_dir, upload, long_part, fleet.url)
    fleet.assert_counted(ticks, TICKS)
    assert_exactly_once(fleet.data_dir, late, part, fleet.url)
    assert [row[2] for row in before] == [1, 2, 2]
    fleet.assert_queue_empty()


def test_a_rollback_goes_on_elsewhere_when_its_worker_is_killed(fleet: Fleet, long_part: Path, part: Path) -> None:
    web = fleet.start_web()
    for _ in range(2):
        fleet.start_worker()
    kept = web.upload(part, date_column=DATE_COLUMN)
    job_id = web.upload(long_part, date_column=DATE_COLUMN)
    web.wait_done(job_id, 80_000)
    status, _ = web.post(f"/jobs/{job_id}/terminate?wait=0", {"rollback": True})
    assert status == 202
    poll(lambda: fleet.stored_rollback(job_id) == "running", 20, "the rollback to begin")
    victim = fleet.worker_of(job_id)
    assert victim is not None
    victim.kill()
    assert web.count_records(job_id) > 0, "the rollback was over before its worker was killed"
    job = web.wait_for(job_id, "terminated", seconds=60)
    assert job["rolled_back"]
    assert web.count_records(job_id) == 0
    fleet.wait_all([kept])
    assert_exactly_once(fleet.data_dir, kept, part, fleet.url)
    fleet.assert_queue_empty()
