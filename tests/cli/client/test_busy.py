"""A database that others keep locked for a moment, such as a slow disk's: commands ask again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from jobsvc.cli.client import api
from tests.cli.conftest import Told
from tests.support.server import Server
from tests.support.shell import jobsvc, start
from tests.support.waiting import TIMEOUT, poll


@pytest.mark.parametrize(
    ("args", "state"),
    [
        (("pause", "--all", "--kind", "tocks", "--yes"), "paused"),
        (("pause", "ID"), "paused"),
        (("terminate", "--no-wait", "ID"), "terminated"),
    ],
)
def test_a_request_that_found_the_database_locked_is_repeated(
    service: Server, make_job: Callable[..., str], args: tuple[str, ...], state: str
) -> None:
    job_id = make_job()
    told_before = service.log.read_text().count("the database is locked")
    with closing(sqlite3.connect(service.data_dir / "jobsvc.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = start(service.url, *(job_id if arg == "ID" else arg for arg in args))
        poll(
            lambda: service.log.read_text().count("the database is locked") > told_before,
            TIMEOUT,
            "the request to be refused",
        )
        other.execute("ROLLBACK")
    _, said = command.communicate(timeout=TIMEOUT)
    assert command.returncode == 0, said
    service.wait_for(job_id, state)


def test_a_request_that_finds_it_locked_for_long_is_given_up(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "BUSY_SECONDS", 0.0)
    told.status, told.body = 503, b'{"type": "urn:jobsvc:database-busy", "detail": "nothing was changed"}'
    found = jobsvc(told.url, "pause", "a-job")
    assert (found.exit, "can't answer at the moment: nothing was changed" in found.err) == (7, True)
