"""A report counts each refused row once, whenever the process is killed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.waiting import poll

ROWS = 60_000
KILLS = 4
MARGIN_ROWS = 25_000
"""More than a fast machine does in the moment from a commit to the kill."""


def refused(server: Server, job_id: str) -> int:
    found: int = server.query("SELECT failed FROM jobs WHERE id = ?", job_id)[0][0]
    return found


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_a_job_that_is_killed_again_and_again_counts_each_refused_row_once(
    make_server: Callable[..., Server], tmp_path: Path, chance: random.Random, dry_run: str
) -> None:
    server = make_server().start()
    file = tmp_path / "mixed.csv"
    lines = ("soon,1\n", "2026-01-01,1\n", "2026-01-01\n")
    file.write_text("date,n\n" + "".join(lines[number % 3] for number in range(ROWS)))
    job_id = server.upload(file, dry_run=dry_run)
    kills = []
    for rows in sorted(chance.randrange(ROWS // 3 * 2 - MARGIN_ROWS) for _ in range(KILLS)):
        poll(lambda rows=rows: refused(server, job_id) >= rows, 60, f"{rows} rows")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.12))
        server.kill()
        (kill,) = server.query(
            "SELECT failed, (SELECT coalesce(sum(count), 0) FROM refusal_counts WHERE job_key = key), "
            "(SELECT count(*) FROM refused_rows WHERE job_key = key) FROM jobs WHERE id = ?",
            job_id,
        )
        assert kill[0] == kill[1] == kill[2]
        kills.append(kill[0])
        server.start()
    server.wait_for(job_id, "succeeded", "failed")
    print(f"killed at {kills}")
    found = server.get(f"/jobs/{job_id}/report")
    assert (found["complete"], found["done"], found["failed"]) == (True, ROWS // 3, ROWS // 3 * 2)
    assert [(reason["column"], reason["count"]) for reason in found["reasons"]] == [
        ("date", ROWS // 3),
        (None, ROWS // 3),
    ]
    assert [[sample["row"] for sample in reason["samples"]] for reason in found["reasons"]] == [
        [1, 4, 7, 10, 13],
        [3, 6, 9, 12, 15],
    ]
