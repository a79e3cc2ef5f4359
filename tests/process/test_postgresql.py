"""Processes on PostgreSQL: kill -9, and a second one."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.databases import fresh, postgresql
from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.server import Server
from tests.support.waiting import poll

KILLS = 5
ROWS = 336_776


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


def test_an_import_that_is_killed_again_and_again_has_every_row_exactly_once(
    server: Server, database_url: str, flights: Path, chance: random.Random
) -> None:
    job_id = server.upload(flights, date_column=DATE_COLUMN)
    kills = []
    for rows in sorted(chance.randrange(ROWS - 40_000) for _ in range(KILLS)):
        poll(lambda rows=rows: server.stored(job_id)[1] >= rows, 60, f"{rows} rows")  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.12))
        server.kill()
        kills.append(server.stored(job_id)[1])
        server.start()
    server.wait_for(job_id, "succeeded", "failed", "terminated")
    print(f"killed at {kills}")
    assert_exactly_once(server.data_dir, job_id, flights, database_url)
    history = server.get(f"/jobs/{job_id}/events")["events"]
    assert sum(event["to"] == "interrupted" for event in history) >= KILLS - 1


def test_a_second_process_on_the_database_is_refused_and_told_the_way_out(
    server: Server, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    second = make_server(data_dir=tmp_path / "other").start(wait=False)
    assert second.process is not None
    assert second.process.wait(30) == 3
    said = second.log.read_text()
    assert f"run by process {server.worker_pid()} on " in said
    assert "JOBSVC_ENGINE=fleet" in said
    assert "Traceback" not in said


def test_a_process_on_tables_of_another_version_names_the_command_which_then_helps(
    make_server: Callable[..., Server],
) -> None:
    with postgresql(migrated=False) as url:
        server = make_server(DATABASE_URL=url).start(wait=False)
        assert server.process is not None
        assert server.process.wait(30) == 3
        said = server.log.read_text()
        assert "python -m jobsvc db upgrade" in said
        assert "Traceback" not in said
        done = processes.run("jobsvc", "db", "upgrade", environ=server._environ)
        assert (done.returncode, "is up to date" in done.stdout) == (0, True), done.stderr
        server.start()
        server.kill()


def test_a_reload_hands_the_database_over(server: Server) -> None:
    import signal  # noqa: PLC0415

    before = server.worker_pid()
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    poll(lambda: server.worker_pids() not in (set(), {before}) and len(server.worker_pids()) == 1, 30, "a new worker")
    server.wait_ready()
    assert server.worker_pid() != before
