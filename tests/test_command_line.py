"""`python -m jobsvc`, as people run it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from tests.support import processes
from tests.support.server import Server
from tests.support.shell import client_environ

CSV = "date,n\n2026-01-01,1\n2026-01-02,2\n"


def run(data_dir: Path, *args: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = client_environ(DATABASE_URL="", JOBSVC_DATA_DIR=str(data_dir), **settings)
    return processes.run("jobsvc", *args, environ=environ, directory=data_dir.parent)


def done(data_dir: Path, *args: str, **settings: str) -> list[str]:
    finished = run(data_dir, *args, **settings)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def age(data_dir: Path, days: int) -> None:
    """Make every finished job older, as if so many days had passed."""
    with closing(sqlite3.connect(data_dir / "jobsvc.db", timeout=30)) as connection, connection:
        connection.execute("UPDATE jobs SET finished_at = datetime(finished_at, ?) || '.000000'", (f"-{days} days",))


@pytest.fixture
def served(tmp_path: Path, server: Server) -> tuple[Server, str]:
    """A running server, and a job on it that has succeeded."""
    file = tmp_path / "x.csv"
    file.write_text(CSV)
    job_id = server.upload(file)
    server.wait_for(job_id, "succeeded")
    return server, job_id


def test_upgrade_makes_the_database_and_can_be_repeated(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    for _ in range(2):
        assert done(data_dir, "db", "upgrade") == [f"sqlite:///{data_dir}/jobsvc.db is up to date"]
    with closing(sqlite3.connect(data_dir / "jobsvc.db")) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_upgrade_is_refused_while_the_service_runs_and_names_it(app: Flask, tmp_path: Path) -> None:
    finished = run(tmp_path / "data", "db", "upgrade")
    assert finished.returncode == 1
    assert f"is in use by process {os.getpid()} on " in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("command", [("db", "upgrade"), ("purge",)])
def test_a_setting_that_is_no_setting_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    finished = run(tmp_path / "data", *command, JOBSVC_KEEP_FILES_DAYS="soon")
    assert finished.returncode == 1
    assert finished.stderr.startswith("Error: JOBSVC_KEEP_FILES_DAYS='soon' can't be used")


def test_without_a_term_purge_keeps_everything(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    done(data_dir, "db", "upgrade")
    assert done(data_dir, "purge") == [
        "forgot no job: they are kept for ever",
        "removed no files of jobs that stay: they are kept for as long",
        "forgot 0 idempotency keys that are older than 24 hours",
        "removed 0 lines of the audit that are older than 365 days",
    ]


def test_purge_makes_no_database(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    finished = run(data_dir, "purge")
    assert finished.returncode == 1
    assert finished.stderr == f"Error: there is no database at sqlite:///{data_dir}/jobsvc.db\n"
    assert not data_dir.exists()


def test_purge_leaves_a_database_of_another_version_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    done(data_dir, "db", "upgrade")
    with closing(sqlite3.connect(data_dir / "jobsvc.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    finished = run(data_dir, "purge")
    assert finished.returncode == 1
    assert "run: python -m jobsvc db upgrade" in finished.stderr


@pytest.mark.parametrize("by", ["option", "setting"])
def test_purge_works_beside_a_running_server_and_says_what_it_did(
    served: tuple[Server, str], by: str, make_server: Callable[..., Server]
) -> None:
    server, job_id = served
    age(server.data_dir, 10)
    options = ("--finished-days", "30", "--files-days", "7") if by == "option" else ()
    settings = {} if options else {"JOBSVC_KEEP_FINISHED_DAYS": "30", "JOBSVC_KEEP_FILES_DAYS": "7"}
    kept = "0 jobs that had finished more than 30 days ago"
    files = "the files of 1 jobs that had finished more than 7 days ago"
    would = done(server.data_dir, "purge", *options, "--dry-run", **settings)
    assert would[:2] == [f"would forget {kept}", f"would remove {files}"]
    assert server.files() == [f"{job_id}.input"]
    assert done(server.data_dir, "purge", *options, **settings)[:2] == [f"forgot {kept}", f"removed {files}"]
    assert server.files() == []
    assert server.job(job_id)["state"] == "succeeded"
    age(server.data_dir, 30)
    assert done(server.data_dir, "purge", *options, **settings)[0].startswith("forgot 1 jobs")
    assert server.get("/jobs")["jobs"] == []
    assert len(server.get(f"/records?job={job_id}")["records"]) == 2


def test_an_option_of_0_overrides_a_setting(served: tuple[Server, str]) -> None:
    server, _ = served
    age(server.data_dir, 10)
    told = done(server.data_dir, "purge", "--finished-days", "0", JOBSVC_KEEP_FINISHED_DAYS="1")
    assert told[0] == "forgot no job: they are kept for ever"
    assert len(server.get("/jobs")["jobs"]) == 1


def test_purge_says_so_when_the_store_of_the_files_does_not_answer(served: tuple[Server, str]) -> None:
    server, _ = served
    age(server.data_dir, 2)
    gone = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    finished = run(server.data_dir, "purge", "--finished-days", "1", JOBSVC_FILES_URL="s3://bucket/prefix", **gone)
    assert finished.returncode == 1
    said = "Error: not everything could be forgotten: the store of the files does not answer"
    assert finished.stderr.startswith(said)
    assert "Traceback" not in finished.stderr
