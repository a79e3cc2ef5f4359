"""What must have reached the disk, and when, for a power cut to cost nothing. No test can cut the power."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection

from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows
from jobsvc.web.services import Services
from tests.support.requests import upload
from tests.support.waiting import wait_for

Log = list[str]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The names of what is brought to the disk, `submitted` and the states that are committed with a cursor."""
    log: Log = []
    fsync, add, change = os.fsync, job_rows.add, job_rows.change

    def noted_fsync(descriptor: int) -> None:
        log.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def noted_add(connection: Connection, values: dict[str, object]) -> int:
        log.append("submitted")
        return add(connection, values)

    def noted_change(*given: object, values: dict[str, object], **more: object) -> bool:
        if values.get("cursor") is not None:
            log.append("checkpoint")
        elif values.get("state") == State.SUCCEEDED:
            log.append("succeeded")
        return change(*given, values=values, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(job_rows, "add", noted_add)
    monkeypatch.setattr(job_rows, "change", noted_change)
    return log


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)])
def test_every_commit_is_on_the_disk_before_it_is_answered(tmp_path: Path, pragma: str, value: object) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as writing, database.read() as reading:
        for connection in (writing, reading):
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value
    database.close()


def test_an_upload_and_its_name_are_on_the_disk_before_its_job_is_there(client: FlaskClient, log: Log) -> None:
    job_id = upload(client)
    assert log[:3] == [f"{job_id}.input", "files", "submitted"]


def test_an_export_is_on_the_disk_before_each_checkpoint_and_its_name_before_the_success(
    make_app: Callable[..., Flask], log: Log
) -> None:
    app = make_app()
    services: Services = app.extensions["jobsvc"]
    client = app.test_client()
    wait_for(services, upload(client), State.SUCCEEDED)
    log.clear()
    job_id = client.post("/exportData", json={"from": "2026-01-01", "to": "2026-01-31"}).get_json()["Job ID"]
    wait_for(services, job_id, State.SUCCEEDED)
    # Its folder twice: for the name of the unfinished file, and for its final one.
    folder = f"{job_id}.output"
    assert log == ["submitted", "files", folder, "0-1.part", "checkpoint", folder, "succeeded"]
