"""kill -9 while dry runs are applied: no job is without its file, and no file without a job stays."""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.support.exactly_once import DATE_COLUMN, assert_exactly_once
from tests.support.server import Server
from tests.support.waiting import poll

KILLS = 5


class Client(Thread):
    """Applies a dry run, and deletes the jobs that came of it, as fast as it is answered."""

    def __init__(self, server: Server, dry_run: str, stopped: Event) -> None:
        super().__init__(daemon=True)
        self._server, self._dry_run, self._stopped = server, dry_run, stopped
        self.answered = 0

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                request = urllib.request.Request(f"{self._server.url}/jobs/{self._dry_run}/apply", b"", method="POST")
                json.loads(urllib.request.urlopen(request, timeout=30).read())
                self.answered += 1
            except (OSError, http.client.HTTPException, ValueError):
                # The server has just been killed, and is started again.
                self._stopped.wait(0.02)


@pytest.mark.both_databases
def test_killed_at_any_moment_every_job_that_was_applied_has_its_file_and_nothing_else_stays(
    make_server: Callable[..., Server], tmp_path: Path, chance: random.Random
) -> None:
    server = make_server().start()
    file = tmp_path / "small.csv"
    file.write_text("date,n\n2026-01-01,1\nsoon,2\n")
    dry_run = server.upload(file, dry_run="true")
    server.wait_for(dry_run, "succeeded")
    stopped = Event()
    clients = [Client(server, dry_run, stopped) for _ in range(3)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.1, 0.8))
        server.kill()
        server.start()
    stopped.set()
    for client in clients:
        client.join(60)
    made = [row[0] for row in server.query("SELECT id FROM jobs WHERE applied_from = ?", dry_run)]
    assert sum(client.answered for client in clients) <= len(made)
    poll(
        lambda: server.query("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'interrupted')") == [(0,)],
        60,
        "all jobs to end",
    )
    assert set(server.query("SELECT state, done, failed FROM jobs WHERE applied_from = ?", dry_run)) == {
        ("succeeded", 1, 1)
    }
    assert server.job(dry_run)["applied_as"] == [
        row[0]
        for row in reversed(
            server.query("SELECT id FROM jobs WHERE applied_from = ? ORDER BY key DESC LIMIT 20", dry_run)
        )
    ]
    assert server.files() == [f"{dry_run}.input"]
    print(f"{len(made)} jobs were applied")


def test_a_dry_run_and_the_job_that_is_made_of_it_are_killed_and_every_row_is_there_once(
    make_server: Callable[..., Server], flights_part: Path, chance: random.Random
) -> None:
    server = make_server().start()
    dry_run = server.upload(flights_part, dry_run="true", date_column=DATE_COLUMN)
    server.wait_done(dry_run, 1)
    server.kill()
    server.start()
    server.wait_for(dry_run, "succeeded")
    assert server.count_records(dry_run) == 0
    status, made = server.post(f"/jobs/{dry_run}/apply")
    assert status == 201
    server.wait_done(made["id"], 1)
    time.sleep(chance.uniform(0, 0.12))
    server.kill()
    server.start()
    server.wait_for(made["id"], "succeeded")
    assert_exactly_once(server.data_dir, made["id"], flights_part)
    assert server.files() == [f"{dry_run}.input"]
