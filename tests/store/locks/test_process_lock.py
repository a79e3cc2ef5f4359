"""Which process runs the jobs in a PostgreSQL database."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseInUse
from jobsvc.store.locks.process_lock import LOCK, OWN_SECONDS, ProcessLock
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


def waits_for_lock(database: Database) -> bool:
    with database.read() as connection:
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(connection.execute(waiting).scalar_one())


def holders(url: str) -> list[int]:
    """The sessions that have the lock."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())",
            (LOCK,),
        )
        return [pid for (pid,) in found]


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
        poll(lambda: waits_for_lock(database), TIMEOUT, "another one to wait for the lock")
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


@pytest.fixture
def held(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ProcessLock, Event]]:
    """A lock that is held and watched all the time, and whether it was told that another process was first."""
    monkeypatch.setattr("jobsvc.store.locks.process_lock.CHECK_SECONDS", 0.02)
    lock, lost = ProcessLock(url), Event()
    lock.acquire(0)
    yield lock, lost
    lock.release()


def session(lock: ProcessLock) -> int:
    """The number of the latest session of the lock."""
    return lock._sessions[-1][0]


def test_what_took_the_lock_meanwhile_and_is_gone_is_in_nobodys_way(
    url: str, database: Database, held: tuple[ProcessLock, Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, lost = held
    before, look, looked = session(lock), lock._found, Event()

    def gone_meanwhile() -> object:
        other.close()
        poll(lambda: ProcessLock(url).holder() is None, TIMEOUT, "the server to hear of the closed connection")
        looked.set()
        return look()

    monkeypatch.setattr(lock, "_found", gone_meanwhile)
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
        taken = Thread(target=lambda: other.execute("SELECT pg_advisory_lock(%s)", (LOCK,)))
        taken.start()
        poll(lambda: waits_for_lock(database), TIMEOUT, "another one to wait for the lock")
        kill(database, before)
        taken.join(TIMEOUT)
        lock.watch(lost.set)
        poll(lambda: before != session(lock) in holders(url), TIMEOUT, "the lock to be taken again")
    assert looked.is_set()
    assert not lost.is_set()


@pytest.mark.parametrize("unheard", [False, True], ids=["of before", "of which it has not heard"])
def test_its_own_old_session_that_the_server_has_not_given_up_is_no_other_process(
    url: str, held: tuple[ProcessLock, Event], monkeypatch: pytest.MonkeyPatch, unheard: bool
) -> None:
    """The process thinks that its connection broke, and the server does not; also where the answer was lost that said
    that the lock was taken again."""
    lock, lost = held
    look, connect, looked = lock._found, lock._engine.connect, Event()
    end: Callable[[], None] = lock._connection.close  # type: ignore[union-attr]

    def found() -> object:
        looked.set()
        return look()

    def breaks_unheard() -> Connection:
        nonlocal end
        monkeypatch.undo()
        monkeypatch.setattr("jobsvc.store.locks.process_lock.CHECK_SECONDS", 0.02)
        monkeypatch.setattr(lock, "_found", found)
        connection = connect()
        end, execute = connection.close, connection.execute

        def executed(statement: Any, *arguments: Any) -> Any:
            answer = execute(statement, *arguments)
            if statement is lock._try:
                assert answer.scalar_one()
                monkeypatch.setattr(connection, "execute", broken)
                broken()
            return answer

        def broken(*_: Any) -> Any:
            raise OperationalError("", None, Exception("broken, on purpose"))

        monkeypatch.setattr(connection, "execute", executed)
        monkeypatch.setattr(connection, "close", lambda: None)
        return connection

    first = lock._connection
    lock._connection = connect()
    lock._connection.close()
    if unheard:
        end()
        poll(lambda: not holders(url), TIMEOUT, "the server to hear of the closed connection")
        monkeypatch.setattr(lock._engine, "connect", breaks_unheard)
    else:
        monkeypatch.setattr(lock, "_found", found)
    lock.watch(lost.set)
    assert looked.wait(TIMEOUT)
    before = holders(url)
    assert len(before) == 1
    assert first is not None
    assert first.closed is unheard
    end()
    poll(lambda: holders(url) not in ([], before), TIMEOUT, "the lock to be taken again")
    assert holders(url) == [session(lock)]
    assert not lost.is_set()


def test_a_sibling_that_shares_the_lock_by_now_is_in_nobodys_way(
    url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody had it alone for a moment."""
    monkeypatch.setattr("jobsvc.store.locks.process_lock.CHECK_SECONDS", 0.02)
    lock, sibling, lost = ProcessLock(url, shared=True), ProcessLock(url, shared=True), Event()
    lock.acquire(0)
    look, looked = lock._found, Event()

    def taken_meanwhile() -> object:
        alone.release()
        poll(lambda: ProcessLock(url).holder() is None, TIMEOUT, "the server to hear of the closed connection")
        sibling.acquire(0)
        looked.set()
        return look()

    monkeypatch.setattr(lock, "_found", taken_meanwhile)
    before, alone = session(lock), ProcessLock(url)
    kill(database, before)
    alone.acquire(OWN_SECONDS)
    lock.watch(lost.set)
    poll(lambda: len(holders(url)) == 2, TIMEOUT, "the lock to be shared again")
    assert looked.is_set()
    assert not lost.is_set()
    lock.release()
    sibling.release()


def test_an_error_while_the_lock_is_taken_again_does_not_count_as_having_it(
    url: str, database: Database, held: tuple[ProcessLock, Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, lost = held
    before, try_lock, failed = session(lock), lock._try_lock, Event()

    def fails_once() -> bool:
        if not failed.is_set():
            failed.set()
            assert lock._connection is not None
            lock._connection.execute(text("SELECT 1 / 0"))
        return try_lock()

    monkeypatch.setattr(lock, "_try_lock", fails_once)
    kill(database, before)
    lock.watch(lost.set)
    poll(lambda: before != session(lock) in holders(url), TIMEOUT, "the lock to be taken again")
    assert failed.is_set()
    assert not lost.is_set()
