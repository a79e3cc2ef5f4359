"""kill -9, at any moment."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once, expected_export
from tests.support.server import Server, SlowUpload
from tests.support.waiting import poll

ROWS = 336_776
MARGIN_ROWS = 100_000
"""More than a fast machine does in the moment from a commit to the kill."""
IMPORT_KILLS = 8
EXPORT_KILLS = 6
FIRST, LAST = "2013-02-05", "2013-05-20"


@dataclass
class Imported:
    server: Server
    job_id: str
    kills: list[int]
    """How many rows were done at each kill."""


@pytest.fixture(scope="module")
def imported(flights: Path, tmp_path_factory: pytest.TempPathFactory, chance: random.Random) -> Iterator[Imported]:
    """flights.csv, imported by a server that was killed again and again; the server runs."""
    server = Server(tmp_path_factory.mktemp("crash") / "data").start()
    try:
        job_id = server.upload(flights, date_column=DATE_COLUMN)
        kills = []
        for rows in sorted(chance.randrange(ROWS - MARGIN_ROWS) for _ in range(IMPORT_KILLS)):
            poll(lambda rows=rows: server.stored(job_id)[1] >= rows, 60, f"{rows} rows")  # type: ignore[misc]
            # So far it is right behind a commit; go to any place between two.
            time.sleep(chance.uniform(0, 0.12))
            server.kill()
            kills.append(server.stored(job_id)[1])
            server.start()
        server.wait_for(job_id, "succeeded", "failed", "terminated")
        print(f"killed at {kills}")
        yield Imported(server, job_id, kills)
    finally:
        server.kill()


def test_an_import_that_is_killed_again_and_again_has_every_row_exactly_once(imported: Imported, flights: Path) -> None:
    assert_exactly_once(imported.server.data_dir, imported.job_id, flights)
    history = imported.server.get(f"/jobs/{imported.job_id}/events")["events"]
    assert sum(event["to"] == "interrupted" for event in history) >= IMPORT_KILLS - 1
    assert imported.kills[-1] < ROWS


def test_the_samples_of_a_killed_import_have_only_what_was_committed(imported: Imported) -> None:
    job = imported.server.job(imported.job_id)
    found = imported.server.get(f"/jobs/{imported.job_id}/samples")["samples"]
    done = [each["done"] for each in found]
    # A sample of a batch that was lost would be ahead of the run that did it again.
    assert done == sorted(done)
    assert done[-1] == job["progress"]["done"] == ROWS
    moments = [datetime.fromisoformat(each["at"]) for each in found]
    assert sum(each["ran"] for each in found) <= (moments[-1] - moments[0]).total_seconds() + 1


def test_an_export_that_is_killed_again_and_again_is_byte_identical(
    imported: Imported, flights: Path, chance: random.Random
) -> None:
    server = imported.server
    export = server.export(FIRST, LAST)
    kills = []
    for _ in range(EXPORT_KILLS):
        time.sleep(chance.uniform(0, 0.9))
        server.kill()
        kills.append(server.stored(export))
        server.start()
    server.wait_for(export, "succeeded", "failed")
    print(f"killed at {kills}")

    found = server.get_bytes(f"/jobs/{export}/result")
    # Not compared inside the assertion: showing the difference of 15 MB takes minutes.
    identical = found == expected_export(imported.job_id, flights, FIRST, LAST)
    assert identical
    assert server.files() == sorted([f"{imported.job_id}.input", f"{export}.output"])


def test_what_a_crash_leaves_of_an_upload_is_moved_aside_and_belongs_to_no_job(
    server: Server, flights_part: Path
) -> None:
    slow = SlowUpload(server, flights_part.read_bytes())
    server.kill()
    slow.close()
    (name,) = server.files()

    server.start()

    assert server.files() == ["strays"]
    assert [path.name for path in (server.data_dir / "files" / "strays").rglob("*.input")] == [name]
    assert server.get("/jobs")["jobs"] == []


def test_after_a_crash_paused_jobs_are_paused_and_queued_jobs_are_queued_in_order(
    make_server: Callable[..., Server], flights_part: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.csv"
    small.write_text("a\n1\n")
    server = make_server(JOBSVC_MAX_RUNNING="1").start()
    paused = server.upload(flights_part, date_column=DATE_COLUMN)
    server.wait_done(paused, 1)
    assert server.post(f"/jobs/{paused}/pause")[1]["state"] == "paused"
    done = server.count_records(paused)
    running = server.upload(flights_part, date_column=DATE_COLUMN)
    queued = [server.upload(small) for _ in range(3)]
    server.wait_done(running, 1)

    server.kill()
    order = "SELECT id FROM jobs WHERE state = 'queued' ORDER BY queued_at, key"
    assert [row[0] for row in server.query(order)] == queued
    last_event = server.query("SELECT max(id) FROM job_events")[0][0]
    server.start()

    assert server.job(paused)["state"] == "paused"
    for job_id in queued:
        server.wait_for(job_id, "succeeded")
    started = server.query(
        "SELECT jobs.id FROM job_events JOIN jobs ON jobs.key = job_key WHERE \"to\" = 'running' AND job_events.id > ? "
        "ORDER BY job_events.id",
        last_event,
    )
    assert [row[0] for row in started] == [running, *queued]
    assert server.stored(paused) == ("paused", done)
    assert server.count_records(paused) == done
    assert_exactly_once(server.data_dir, running, flights_part)
    server.post(f"/jobs/{paused}/resume")
    server.wait_for(paused, "succeeded")
    assert_exactly_once(server.data_dir, paused, flights_part)


def test_with_manual_recovery_a_killed_job_waits_until_it_is_resumed(
    make_server: Callable[..., Server], flights_part: Path
) -> None:
    server = make_server(JOBSVC_RECOVER="manual").start()
    job_id = server.upload(flights_part, date_column=DATE_COLUMN)
    server.wait_done(job_id, 1)
    server.kill()
    server.start()

    assert server.job(job_id)["state"] == "interrupted"
    # Only now: a commit whose process died before it could tell the other readers of the log is there since the start.
    done = server.stored(job_id)[1]
    # The dispatcher has been at work since, and has let it be.
    other = server.upload(flights_part, date_column=DATE_COLUMN)
    server.wait_done(other, 1)
    assert server.stored(job_id) == ("interrupted", done)
    assert server.count_records(job_id) == done

    assert server.post(f"/jobs/{job_id}/resume")[0] == 200
    server.wait_for(job_id, "succeeded")
    assert_exactly_once(server.data_dir, job_id, flights_part)
