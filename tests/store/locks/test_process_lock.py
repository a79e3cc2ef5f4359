"""Which process runs the jobs in a PostgreSQL database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from threading import Event, Thread

import psycopg
import pytest
from sqlalchemy import text

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseInUse
from jobsvc.store.locks.process_lock import LOCK, ProcessLock
from tests.support.databases import postgresql
from tests.support.waiting import TIMEOUT, poll


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql() as plain:
        yield Settings(database_url=plain).url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def kill(database: Database, pid: int) -> None:
    with database.write() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_one_process_has_the_lock_and_the_next_learns_who(url: str) -> None:
    first, second = ProcessLock(url), ProcessLock(url)
    first.acquire(0)
    with pytest.raises(DatabaseInUse, match=r"run by process \d+ on .*JOBSVC_ENGINE=fleet"):
        second.acquire(0)
    watcher = ProcessLock(url)
    assert f"process {os.getpid()} on " in (watcher.holder() or "")
    first.release()
    poll(lambda: watcher.holder() is None, TIMEOUT, "the server to hear of the closed connection")
    again = ProcessLock(url)
    again.acquire(0)
    again.release()


def test_a_lock_whose_connection_broke_is_taken_again_or_its_loss_is_told(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobsvc.store.locks.process_lock.CHECK_SECONDS", 0.02)
    holder = text("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = "
                  "(SELECT oid FROM pg_database WHERE datname = current_database())")  # fmt: skip

    def held_by() -> int | None:
        with database.read() as connection:
            found: int | None = connection.execute(holder).scalar_one_or_none()
            return found

    lost = Event()
    lock = ProcessLock(url)
    lock.acquire(0)
    lock.watch(lost.set)
    before = held_by()
    assert before is not None
    kill(database, before)
    while held_by() in (None, before):
        pass
    assert not lost.is_set()

    # Now somebody else is faster: nobody can be slower than who waits for it already.
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        taken = Thread(target=lambda: other.execute("SELECT pg_advisory_lock(7032002)"))
        taken.start()
        while True:
            with database.read() as connection:
                waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                if connection.execute(waiting).scalar_one():
                    break
        mine = held_by()
        assert mine is not None
        kill(database, mine)
        assert lost.wait(TIMEOUT)
        taken.join(TIMEOUT)
    lock.release()


def test_a_holder_that_is_gone_when_one_looks_for_it_is_in_nobodys_way(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, watcher = ProcessLock(url), ProcessLock(url)
    look = lock._holder

    def gone_meanwhile() -> object:
        other.close()
        poll(lambda: watcher.holder() is None, TIMEOUT, "the server to hear of the closed connection")
        return look()

    monkeypatch.setattr(lock, "_holder", gone_meanwhile)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        lock.acquire(0)
    assert watcher.holder() is not None
    lock.release()
