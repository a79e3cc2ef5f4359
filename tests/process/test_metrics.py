"""Counters of a real server that is killed in the middle of an import: they agree with the database, always."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.exactly_once import DATE_COLUMN
from tests.support.scraped import Scraped
from tests.support.server import Server, SlowUpload
from tests.support.waiting import poll

REFUSED_EVERY = 1000
BLANK_EVERY = 5000
KIND = "baselineCSV"


@pytest.fixture
def damaged(flights: Path, tmp_path: Path) -> Path:
    """flights.csv, of which some rows have no date, and with some blank lines."""
    file = tmp_path / "damaged.csv"
    with flights.open() as lines, file.open("w") as out:
        out.write(next(lines))
        for number, line in enumerate(lines, 1):
            out.write(line.replace("2013-", "in 2013-") if number % REFUSED_EVERY == 0 else line)
            if number % BLANK_EVERY == 0:
                out.write("\n")
    return file


def scraped(server: Server) -> Scraped:
    return Scraped(server.get_bytes("/metrics").decode())


def stored(server: Server) -> tuple[int, int]:
    """Records and refused rows in the database, of all jobs."""
    ((records, refused),) = server.query("SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM refused_rows)")
    return records, refused


def told(found: Scraped) -> tuple[float, float]:
    """The same as the counters have it."""
    items = found.items(KIND)
    return items["done"] - items["rolled_back"], items["refused"]


def assert_agrees(server: Server) -> Scraped:
    """At rest, the counters are what is in the database; figures on a slow machine may be some seconds old."""
    poll(lambda: told(scraped(server)) == stored(server), 20, f"{told(scraped(server))} to be {stored(server)}")
    return scraped(server)


def assert_agrees_while_it_runs(server: Server) -> None:
    """The counters lie between what was there before they were read and what is there afterwards."""
    before, at = stored(server), time.monotonic()

    def read_since() -> bool:
        return time.monotonic() - scraped(server).get("jobsvc_database_read_age_seconds") > at

    poll(read_since, 20, "figures that were read since")
    # Those are at most as old as the ones before.
    found = scraped(server)
    assert before <= told(found) <= stored(server), "a counter runs ahead of the database, or behind it"


def test_after_a_kill_in_the_middle_of_an_import_counters_are_the_rows_in_the_database(
    make_server: Callable[..., Server], damaged: Path
) -> None:
    server = make_server(JOBSVC_RECOVER="manual").start()
    job_id = server.upload(damaged, date_column=DATE_COLUMN)
    server.wait_done(job_id, 20_000)
    assert_agrees_while_it_runs(server)
    server.kill()
    server.start()
    # The worker may have died a moment after the server, and have committed until then.
    left = stored(server)
    assert left[0] > 20_000
    at_rest = assert_agrees(server)
    assert told(at_rest) == left
    assert at_rest.get("jobsvc_jobs", kind=KIND, state="interrupted") == 1

    assert server.post(f"/jobs/{job_id}/resume")[0] == 200
    server.wait_done(job_id, left[0] + 1)
    assert_agrees_while_it_runs(server)
    assert server.post(f"/jobs/{job_id}/pause?wait=20")[0] == 200
    assert_agrees(server)
    if server.job(job_id)["state"] == "paused":
        assert server.post(f"/jobs/{job_id}/resume")[0] == 200
    job = server.wait_for(job_id, "succeeded", "failed")
    items = assert_agrees(server).items(KIND)
    progress = job["progress"]
    assert items == {
        **{name: progress[name] for name in ("done", "blank")},
        "refused": progress["failed"],
        "rolled_back": 0,
    }
    assert items["done"] + items["refused"] == 336_776
    assert (items["refused"], items["blank"]) == (336_776 // REFUSED_EVERY, 336_776 // BLANK_EVERY)

    # Neither a rollback nor forgetting the job takes anything from what was done; a kill changes nothing of it.
    assert server.post(f"/jobs/{job_id}/rollback?wait=0")[0] in (200, 202)
    poll(lambda: server.stored(job_id)[1] < 300_000, 60, "some rows to be rolled back")
    server.kill()
    rows, _ = stored(server)
    server.start()
    server.wait_for(job_id, "terminated")
    assert rows < 336_776
    after = assert_agrees(server).items(KIND)
    assert after == {**items, "rolled_back": items["done"]}


def test_it_is_answered_while_all_slots_for_uploads_are_taken(server: Server) -> None:
    uploads = [SlowUpload(server, b"date,n\n" + b"2026-01-01,1\n" * 100_000) for _ in range(24)]
    begun = time.monotonic()
    found = scraped(server)
    assert time.monotonic() - begun < 10
    assert found.get("jobsvc_uploads_in_progress") == 24
    assert found.get("jobsvc_uploaded_bytes_total") > 0
    for upload in uploads:
        upload.close()
    poll(lambda: scraped(server).get("jobsvc_uploads_in_progress") == 0, 30, "the uploads to be over")


def test_a_pause_is_timed(server: Server, flights: Path) -> None:
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    server.wait_done(job_id, 1)
    assert server.post(f"/jobs/{job_id}/pause?wait=20")[0] == 200
    found = scraped(server)
    assert found.get("jobsvc_stop_duration_seconds_count", action="pause") == 1
    assert found.get("jobsvc_commit_duration_seconds_count", kind=KIND) >= 1
    assert server.stop(signal.SIGTERM) == 0
