"""One process for each SQLite database, whatever leads to it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from jobsvc.process.locks import Locks
from jobsvc.settings import Settings
from jobsvc.store.locks.database_lock import DatabaseLock
from jobsvc.store.locks.flock import DirectoryInUse

LOCKED_BY_ANOTHER = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        # What SQLite locks for reading: 510 bytes from here on.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except BlockingIOError:
        print("locked")
"""


def is_read_locked(path: Path) -> bool:
    """Whether SQLite holds its lock for reading on a database, as another process sees it."""
    asked = [sys.executable, "-c", LOCKED_BY_ANOTHER, str(path)]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "locked\n"


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "jobsvc.db"
    path.parent.mkdir()
    return path


def by_symbolic_link(database: Path, other: Path) -> Settings:
    (other / "jobsvc.db").symlink_to(database)
    return Settings(data_dir=other)


def by_hard_link(database: Path, other: Path) -> Settings:
    (other / "jobsvc.db").hardlink_to(database)
    return Settings(data_dir=other)


def by_setting(database: Path, other: Path) -> Settings:
    return Settings(data_dir=other, database_url=f"sqlite:///{database}")


def by_linked_directory(database: Path, other: Path) -> Settings:
    (other / "link").symlink_to(database.parent)
    return Settings(data_dir=other, database_url=f"sqlite:///{other}/link/jobsvc.db")


@pytest.mark.parametrize("reach", [by_symbolic_link, by_hard_link, by_setting, by_linked_directory])
@pytest.mark.parametrize("removed", [False, True], ids=["", "lock file removed"])
def test_a_database_is_given_to_one_process_however_it_is_reached(
    database: Path, tmp_path: Path, reach: Callable[[Path, Path], Settings], removed: bool
) -> None:
    first = Locks(Settings(data_dir=database.parent))
    first.acquire(0)
    other = tmp_path / "other"
    other.mkdir()
    second = Locks(reach(database, other))
    if removed:
        (database.parent / "jobsvc.lock").unlink()
    with pytest.raises(DirectoryInUse, match=f"process {os.getpid()} on "):
        second.acquire(0)
    first.release()
    second.acquire(0)
    second.release()


def test_an_application_on_a_link_to_another_ones_database_is_refused(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    make_app()
    other = tmp_path / "other"
    other.mkdir()
    (other / "jobsvc.db").hardlink_to(tmp_path / "data" / "jobsvc.db")
    with pytest.raises(DirectoryInUse, match=r"the database .*/other/jobsvc.db is in use by process"):
        make_app(data_dir=other)


def test_databases_in_directories_of_their_own_are_given_to_several(tmp_path: Path) -> None:
    held = [Locks(Settings(data_dir=tmp_path / name)) for name in ("a", "b")]
    for locks in held:
        locks.acquire(0)
    for locks in held:
        locks.release()


def test_letting_go_takes_no_lock_of_sqlite_away(database: Path) -> None:
    lock = DatabaseLock(database)
    lock.acquire(0)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        assert is_read_locked(database)
        # A late thread still has its connection.
        lock.release()
        assert is_read_locked(database)


def test_letting_go_of_a_closed_database_leaves_no_file_open(database: Path) -> None:
    before = open_files()
    lock = DatabaseLock(database)
    lock.acquire(0)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE t (x)")
    lock.release()
    assert open_files() == before


def test_a_refusal_takes_no_lock_of_sqlite_away_either(database: Path) -> None:
    first, second = DatabaseLock(database), DatabaseLock(database)
    first.acquire(0)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        with pytest.raises(DirectoryInUse):
            second.acquire(0)
        assert is_read_locked(database)
    first.release()
