"""kill -9 in the middle of a rollback."""

from __future__ import annotations

from pathlib import Path

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.server import Server
from tests.support.waiting import poll

HALF = 336_776 // 2


def test_a_rollback_that_is_killed_goes_on_and_removes_every_row_of_its_job_and_none_of_another(
    server: Server, flights: Path, flights_part: Path
) -> None:
    other = server.upload(flights_part, date_column=DATE_COLUMN)
    server.wait_for(other, "succeeded")
    wrong = server.upload(flights, date_column=DATE_COLUMN)
    poll(lambda: server.stored(wrong)[1] >= HALF, 120, "half of the rows")
    status, job = server.post(f"/jobs/{wrong}/terminate?wait=0", {"rollback": True})
    assert (status, job["state"]) == (202, "terminating")

    for part in (3, 2):
        before = server.query("SELECT rollback_total FROM jobs WHERE id = ?", wrong)[0][0] or HALF
        poll(lambda part=part, before=before: server.stored(wrong)[1] < before * part // 4, 60, "some of the rollback")  # type: ignore[misc]
        server.kill()
        state, done = server.stored(wrong)
        assert state == "terminating", "the kill came too late to show anything"
        assert 0 < server.count_records(wrong) == done
        server.start()

    job = server.wait_for(wrong, "terminated")
    total = server.query("SELECT rollback_total FROM jobs WHERE id = ?", wrong)[0][0]
    assert (job["rolled_back"], job["progress"]["done"]) == (True, 0)
    assert job["rollback"] == {"percent": 100.0, "removed": total, "left": 0}
    assert server.count_records(wrong) == 0
    assert_exactly_once(server.data_dir, other, flights_part)
    assert server.query("SELECT count(*) FROM records")[0][0] == server.count_records(other)
    assert server.post(f"/jobs/{wrong}/resume")[0] == 409
