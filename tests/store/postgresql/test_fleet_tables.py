"""The queue's tables, the workers' and the word that goes round, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Condition

import pytest
from sqlalchemy import text

from jobsvc.clock import now
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown, SchemaBehind
from jobsvc.store.migrate import is_current, prepare, upgrade
from jobsvc.store.postgresql import queue_schema
from jobsvc.store.postgresql.listener import Listener
from jobsvc.store.queries import job_rows, worker_rows
from tests.support.databases import fresh
from tests.support.waiting import TIMEOUT

AGO = timedelta(seconds=5)


@pytest.fixture
def url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield Settings(database_url=url).url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


def test_a_migration_of_the_queue_that_is_missing_is_seen_and_applied(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_current(database)
    upgrade(database)
    with database.write() as connection:
        latest = "03.04.00_01_pre_add_retry_failed_job_procedure.sql"
        connection.execute(text("DELETE FROM queue_migrations WHERE name = :name"), {"name": latest})
    assert not is_current(database)
    with pytest.raises(SchemaBehind, match="db upgrade"):
        prepare(database)
    monkeypatch.setattr(queue_schema.Path, "read_text", lambda _: "CREATE TABLE from_a_migration (id integer)")
    upgrade(database)
    assert is_current(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM from_a_migration")).scalar_one() == 0


def test_for_a_while_after_the_server_has_started_nobody_can_have_a_heartbeat(database: Database) -> None:
    with database.read() as connection:
        assert worker_rows.server_started_within(connection, timedelta(days=10_000))
        assert not worker_rows.server_started_within(connection, timedelta(0))


def add_worker(database: Database, session: str, purpose: str = "runs", heartbeat: timedelta = timedelta(0)) -> int:
    with database.write() as connection:
        query = text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - :ago) RETURNING id")
        worker_id: int = connection.execute(query, {"ago": heartbeat}).scalar_one()
        values = {"id": worker_id, "purpose": purpose, "name": session, "host": "here", "pid": 1, "session": session}
        worker_rows.add(connection, {**values, "queues": ["a"], "concurrency": 2, "started_at": now()})
    return worker_id


def answers(database: Database) -> bool:
    """Whether a connection that was in use before still answers."""
    try:
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
    except DatabaseDown:
        return False
    return True


def test_workers_are_told_of_as_long_as_procrastinate_knows_them(database: Database) -> None:
    add_worker(database, "lost", heartbeat=2 * AGO)
    add_worker(database, "alive")
    add_worker(database, "alive", purpose="rollbacks")
    with database.write() as connection:
        assert [row["name"] for row in worker_rows.present(connection)] == ["lost", "alive"]
        assert worker_rows.count_since(connection, AGO) == 1
        worker_rows.give_up(connection, worker_rows.lost(connection, AGO))
        assert [row["name"] for row in worker_rows.present(connection)] == ["alive"]


def test_a_worker_that_is_given_up_loses_its_connections_and_its_locks_and_no_other_does(
    url: str, database: Database
) -> None:
    with database.write() as connection:
        values = {"id": "j", "kind": "k", "user": "u", "params": {}, "state": "running", "created_at": now()}
        key = job_rows.add(connection, {**values, "queued_at": now()})
    frozen, other = Database(url, "frozen"), Database(url, "other")
    add_worker(database, "frozen", heartbeat=2 * AGO)
    add_worker(database, "other")
    # It began anew: what is left of its first worker doesn't count.
    add_worker(database, "other", heartbeat=2 * AGO)
    assert answers(other)
    with pytest.raises(DatabaseDown) as raised, frozen.write() as held:  # noqa: PT012
        job_rows.by_key(held, key, lock=True)
        with database.write() as connection:
            assert worker_rows.end_sessions(connection, worker_rows.lost(connection, AGO), AGO) == (1, 0)
        with database.write() as connection:
            job_rows.by_key(connection, key, lock=True)
        held.execute(text("SELECT 1"))
    assert raised.type is DatabaseDown
    assert answers(other)
    frozen.close()
    other.close()


def test_a_listener_hears_of_every_change_of_a_state_and_of_a_rollback_and_of_nothing_else(
    url: str, database: Database
) -> None:
    changed, heard = Condition(), 0

    def hear() -> None:
        nonlocal heard
        with changed:
            heard += 1
            changed.notify_all()

    def expect(count: int) -> None:
        with changed:
            assert changed.wait_for(lambda: heard >= count, TIMEOUT)
            assert heard == count

    with database.write() as connection:
        values = {"id": "j", "kind": "k", "user": "u", "params": {}, "state": "queued", "created_at": now()}
        key = job_rows.add(connection, {**values, "queued_at": now()})
    listener = Listener(url, hear)
    listener.start()
    expect(1)  # It has begun to listen: what was before, it can't know.

    def change(**values: object) -> None:
        with database.write() as connection:
            assert job_rows.change(connection, key, attempt=0, state="queued", values=values)

    change(done=5)
    change(rollback="wanted")
    expect(2)
    change(done=6)
    change(state="running")
    expect(3)
    with database.write() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN jobsvc%'")
        )
    with changed:
        # Once when it can't hear, once when it can again.
        assert changed.wait_for(lambda: heard >= 5, TIMEOUT)
    listener.shut_down(TIMEOUT)
    assert not listener._thread.is_alive()
