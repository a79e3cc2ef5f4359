"""What tests need that kill a process while a job gives way; the gate itself is in `held_giving_way.py`."""

from __future__ import annotations

from pathlib import Path

from tests.support.server import Server

KIND = "tests.support.held_giving_way:Ticks"

COUNT = 60


def held(mark: Path, at: str) -> dict[str, str]:
    """Settings for processes that stand still once, and leave a mark there. `at`: see `held_giving_way.py`."""
    return {"HELD_AT": at, "HELD_IN": str(mark)}


def assert_given_way(server: Server, low: str, high: str) -> None:
    """Both jobs come to their end, the one that has given way after the other, and each has each row once."""
    for job_id in (high, low):
        assert server.wait_for(job_id, "succeeded", "failed", "terminated", seconds=60)["state"] == "succeeded"
        rows = server.query(
            'SELECT "row" FROM records WHERE job_key = (SELECT key FROM jobs WHERE id = ?) ORDER BY "row"', job_id
        )
        assert rows == [(number,) for number in range(1, COUNT + 1)]
        assert server.stored(job_id) == ("succeeded", COUNT)
        history = server.get(f"/jobs/{job_id}/events")["events"]
        assert [line["from"] for line in history] == [None, *(line["to"] for line in history[:-1])]
    first, second = (server.job(job_id)["finished_at"] for job_id in (high, low))
    assert first <= second
    assert server.job(low)["attempt"] == 2
    assert server.query("SELECT gives_way FROM jobs WHERE id = ?", low) == [(False,)]
