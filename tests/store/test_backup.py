"""Copies of a SQLite database that is being written to."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from jobsvc.cli.main import main
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.store.backup import BackupFailed, back_up
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT
from tests.test_command_line import run


@pytest.fixture
def running(make_env: Callable[..., Environment]) -> tuple[Environment, Job]:
    """An environment in which a job makes records without end."""
    env = make_env(park_after=0)
    job = env.submit_reached(20, count=100_000_000, batch=3)
    env.gated.gate.open(100_000_000)
    return env, job


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "jobsvc.db"


def opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{file}?immutable=1", uri=True)


def check(file: Path, job: Job) -> int:
    """It is sound, and the job's records are those that its counters and its cursor say; returns how many."""
    with closing(opened(file)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
        done, state, cursor = copy.execute("SELECT done, state, cursor FROM jobs WHERE id = ?", (job.id,)).fetchone()
        rows = copy.execute("SELECT count(*), min(row), max(row) FROM records").fetchone()
    assert state == "running"
    assert rows == (done, 1, done)
    assert json.loads(cursor) == {"next": done + 1}
    return int(done)


def test_copies_made_while_a_job_runs_are_each_of_one_moment(
    running: tuple[Environment, Job], database: Path, tmp_path: Path
) -> None:
    env, job = running
    counts = [0]
    for number in range(5):
        env.commits.wait_for(lambda: env.job(job).done > counts[-1] + 10, "further records")
        acknowledged = env.job(job).done
        size = back_up(database, tmp_path / f"{number}.db")
        assert size == (tmp_path / f"{number}.db").stat().st_size
        counts.append(check(tmp_path / f"{number}.db", job))
        assert counts[-1] >= acknowledged, "what was committed before the copy is in it"
    assert counts == sorted(set(counts))
    assert env.job(job).state is State.RUNNING
    env.service.pause(job.id, WHO, TIMEOUT)


def test_a_copy_of_a_large_database_does_not_begin_anew_at_each_commit(
    running: tuple[Environment, Job], database: Path, tmp_path: Path
) -> None:
    env, job = running
    with env.database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE ballast (x BLOB)")
        for _ in range(20):
            connection.exec_driver_sql("INSERT INTO ballast VALUES (randomblob(1000000))")
    copying = Thread(target=back_up, args=(database, tmp_path / "copy.db"), daemon=True)
    copying.start()
    copying.join(TIMEOUT)
    assert not copying.is_alive()
    check(tmp_path / "copy.db", job)
    env.service.pause(job.id, WHO, TIMEOUT)


def test_a_service_goes_on_from_a_copy(
    running: tuple[Environment, Job], make_env: Callable[..., Environment], database: Path, tmp_path: Path
) -> None:
    env, job = running
    env.commits.wait_for(lambda: env.job(job).done > 30, "some records")
    restored = tmp_path / "restored" / "jobsvc.db"
    restored.parent.mkdir()
    back_up(database, restored)
    done = check(restored, job)
    env.service.pause(job.id, WHO, TIMEOUT)
    again = make_env(restored.parent, start=False)
    again.recover()
    assert (again.job(job).state, again.job(job).done) == (State.QUEUED, done)
    assert again.rows(job) == list(range(1, done + 1))


def test_the_command_does_it_beside_the_service(running: tuple[Environment, Job], tmp_path: Path) -> None:
    env, job = running
    finished = run(tmp_path / "data", "db", "backup", "copy.db")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("copy.db has all that was committed in sqlite:///")
    check(tmp_path / "copy.db", job)
    assert env.job(job).state is State.RUNNING
    env.service.pause(job.id, WHO, TIMEOUT)


def test_a_copy_is_one_file_with_the_rights_of_its_database(idle: Environment, database: Path, tmp_path: Path) -> None:
    database.chmod(0o640)
    back_up(database, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.db", "data"]
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o640


def test_nothing_is_overwritten_and_nothing_half_is_left(idle: Environment, database: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("x" * 1000)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for file in (mine, tmp_path / "link", database):
        with pytest.raises(FileExistsError):
            back_up(database, file)
    assert mine.read_text() == "x" * 1000
    with pytest.raises(BackupFailed):
        back_up(database, tmp_path / "no folder" / "copy.db")
    with pytest.raises(BackupFailed, match="not a database"):
        back_up(mine, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "link", "mine"]


def test_a_damaged_database_has_no_copy(idle: Environment, database: Path, tmp_path: Path) -> None:
    for _ in range(90):
        idle.submit()
    idle.database.close()
    with database.open("r+b") as file:
        file.seek(-4096 * 4, os.SEEK_END)
        file.write(b"\xff" * 4096 * 3)
    with pytest.raises(BackupFailed, match=r"damaged|malformed"):
        back_up(database, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ann:secret@localhost/jobs", 'pg_dump --format=custom --file={file} "$DATABASE_URL"'),
        ("", "no backup was made: {file} is there already"),
        ("sqlite:///nowhere/jobsvc.db", "there is no database at sqlite:///nowhere/jobsvc.db"),
    ],
)
def test_the_command_says_why_there_is_no_copy(idle: Environment, tmp_path: Path, url: str, words: str) -> None:
    file = tmp_path / "copy"
    file.write_text("mine")
    environ = {"DATABASE_URL": url, "JOBSVC_DATA_DIR": str(tmp_path / "data")}
    result = CliRunner().invoke(main, ["db", "backup", str(file)], env=environ)
    assert result.exit_code == 1
    assert words.format(file=file) in result.output
    assert "secret" not in result.output
    assert file.read_text() == "mine"
