"""SQLite's log beside reads that overlap: it is given back, and nobody waits for long."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from jobsvc.deadlines import Deadline
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.sqlite import backend as sqlite
from jobsvc.store.sqlite import log as sqlite_log
from jobsvc.store.sqlite.read_gate import ReadGate
from tests.support.waiting import TIMEOUT, poll

MIB = 1024 * 1024
BATCH_BYTES = MIB
BATCHES = 16
MAX_BYTES = 3 * MIB

A_READ_SECONDS = 0.05
"""Longer than a reader needs to begin; one that is kept waiting at the gate is not waited for longer."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "MAX_BYTES", MAX_BYTES)
    monkeypatch.setattr(sqlite_log, "GATE_SECONDS", TIMEOUT)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE things (what BLOB)"))
    yield database
    database.close()


def log_bytes(tmp_path: Path) -> int:
    return (tmp_path / "db-wal").stat().st_size


def write_batch(database: Database, *, urgent: bool = False) -> None:
    with database.write(urgent=urgent) as connection:
        connection.execute(text("INSERT INTO things VALUES (zeroblob(:size))"), {"size": BATCH_BYTES})


def count(database: Database) -> int:
    with database.read() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM things")).scalar_one()
        return found


class Relay:
    """Two threads that read by turns: each stays until the other one has begun, so that somebody always reads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._inside = (Event(), Event())
        self._ended = Event()
        self._threads = [Thread(target=self._read, args=(mine,)) for mine in (0, 1)]

    def _read(self, mine: int) -> None:
        while not self._ended.is_set():
            with self._database.read() as connection:
                connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one()
                self._inside[mine].set()
                self._inside[1 - mine].wait(A_READ_SECONDS)
                self._inside[1 - mine].clear()

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(TIMEOUT)


def test_the_log_stays_short_while_somebody_always_reads(database: Database, tmp_path: Path) -> None:
    longest = 0
    with Relay(database):
        for _ in range(BATCHES):
            write_batch(database)
            longest = max(longest, log_bytes(tmp_path))
    assert longest < MAX_BYTES + 2 * BATCH_BYTES
    assert count(database) == BATCHES


def test_who_does_not_leave_is_waited_for_only_for_a_moment_and_the_others_read_and_write_on(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "GATE_SECONDS", 0.01)
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM things")).scalar_one()
        for _ in range(BATCHES):
            write_batch(database)
        assert log_bytes(tmp_path) > BATCHES * BATCH_BYTES
        reader = Thread(target=count, args=(database,))
        reader.start()
        reader.join(TIMEOUT)
        assert not reader.is_alive()
    # Not at each commit: it would hold up everybody each time.
    write_batch(database)
    assert log_bytes(tmp_path) > BATCHES * BATCH_BYTES
    monkeypatch.setattr(database.backend._log, "_not_before", 0.0)  # type: ignore[attr-defined]
    write_batch(database)
    assert log_bytes(tmp_path) == 0


def test_a_long_log_is_cut_when_sqlite_begins_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_log, "MAX_BYTES", 100 * MIB)
    monkeypatch.setattr(sqlite, "KEPT_BYTES", MIB)
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE things (what BLOB)"))
        for _ in range(20):
            connection.execute(text("INSERT INTO things VALUES (zeroblob(:size))"), {"size": BATCH_BYTES})
    assert log_bytes(tmp_path) > 20 * MIB
    with database.write() as connection:
        connection.execute(text("DELETE FROM things WHERE rowid = 1"))
    assert log_bytes(tmp_path) < 2 * MIB
    database.close()


def test_another_process_that_reads_is_not_waited_for(database: Database, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db")) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM things").fetchone()
        for _ in range(BATCHES):
            write_batch(database)
    assert count(database) == BATCHES


def test_who_is_in_a_hurry_leaves_it_to_the_next_up_to_a_point(database: Database, tmp_path: Path) -> None:
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM things")).scalar_one()
        for _ in range(4):
            write_batch(database, urgent=True)
    assert MAX_BYTES < log_bytes(tmp_path) < 2 * MAX_BYTES
    write_batch(database)
    assert log_bytes(tmp_path) == 0
    with database.read() as connection:
        connection.execute(text("SELECT count(*) FROM things")).scalar_one()
        for _ in range(5):
            write_batch(database, urgent=True)
    write_batch(database, urgent=True)
    assert log_bytes(tmp_path) == 0


def test_a_reader_within_a_reader_passes_a_gate_that_is_shut() -> None:
    gate, entered, shut = ReadGate(), Event(), Event()
    answers: list[bool] = []

    def read_twice() -> None:
        with gate.reading(None):
            entered.set()
            assert shut.wait(TIMEOUT)
            with gate.reading(None):
                pass

    def shut_gate() -> None:
        assert entered.wait(TIMEOUT)
        with gate.shut(TIMEOUT) as alone:
            answers.append(alone)

    threads = [Thread(target=read_twice), Thread(target=shut_gate)]
    for thread in threads:
        thread.start()
    assert entered.wait(TIMEOUT)
    poll(lambda: gate._shut, TIMEOUT, "the gate to be shut")
    shut.set()
    for thread in threads:
        thread.join(TIMEOUT)
    assert answers == [True]


def test_a_reader_waits_at_the_gate_until_its_deadline() -> None:
    gate = ReadGate()
    with gate.shut(0) as alone:
        assert alone
        with pytest.raises(DatabaseBusy), gate.reading(Deadline(0)):
            pass
    with gate.reading(Deadline(0)):
        pass


def test_who_writes_after_the_log_was_cut_waits_for_locks_as_before(database: Database, tmp_path: Path) -> None:
    """The log is cut on the connection that the next one writes with, and must not wait there."""
    while log_bytes(tmp_path) < MAX_BYTES:
        write_batch(database)
        with database.write() as connection:
            waits = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
        assert waits == sqlite.LOCK_SECONDS * 1000
        if count(database) > 2 * BATCHES:
            break
    assert count(database) > 2 * BATCHES, "the log was never cut"
