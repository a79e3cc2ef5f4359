"""The sweep, on a real PostgreSQL: who is lost is found once, and loses its sessions before it is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest
from procrastinate import App, PsycopgConnector
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jobsvc.clock import now
from jobsvc.engines.fleet.job_manager import RetryingJobManager
from jobsvc.engines.fleet.lease import Lease
from jobsvc.runs.rescue import WorkerRescue
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy, DatabaseDown
from jobsvc.store.postgresql.backend import conninfo
from jobsvc.store.queries import job_rows, worker_rows
from tests.support.databases import administer, fresh
from tests.support.waiting import poll

STALLED_AFTER = 60.0
LONG_AGO = timedelta(seconds=2 * STALLED_AFTER)

Open = Callable[..., Database]


@pytest.fixture
def url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield Settings(database_url=url).url


@pytest.fixture
def open_database(url: str) -> Iterator[Open]:
    """Opens databases under a session's name; all are closed at the end."""
    with ExitStack() as stack:

        def opened(session: str | None = None, *, url: str = url) -> Database:
            # The server is not to end them by itself.
            database = Database(url, session, idle_seconds=3600)
            stack.callback(database.close)
            return database

        yield opened


@pytest.fixture
def database(open_database: Open, monkeypatch: pytest.MonkeyPatch) -> Database:
    # The tests' server has only just begun.
    monkeypatch.setattr(worker_rows, "server_started_within", lambda *_: False)
    return open_database()


def add_worker(database: Database, session: str, heartbeat: timedelta = timedelta(0)) -> int:
    with database.write() as connection:
        query = text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - :ago) RETURNING id")
        worker_id: int = connection.execute(query, {"ago": heartbeat}).scalar_one()
        values = {"id": worker_id, "purpose": "runs", "name": session, "host": "here", "pid": 1, "session": session}
        worker_rows.add(connection, {**values, "queues": ["a"], "concurrency": 2, "started_at": now()})
    return worker_id


def add_entry(database: Database, worker_id: int | None) -> int:
    with database.write() as connection:
        query = text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id) "
            "VALUES ('a', 'jobsvc.run', 'doing', :worker_id) RETURNING id"
        )
        found: int = connection.execute(query, {"worker_id": worker_id}).scalar_one()
        return found


def add_job(database: Database) -> int:
    with database.write() as connection:
        values = {"id": "j", "kind": "k", "user": "u", "params": {}, "state": "running", "created_at": now()}
        return job_rows.add(connection, {**values, "queued_at": now()})


def ids(database: Database, table: str) -> set[int]:
    with database.read() as connection:
        return set(connection.execute(text(f"SELECT id FROM {table}")).scalars())


def nothing() -> None: ...


def sweep(database: Database, stalled_after: float = STALLED_AFTER) -> None:
    WorkerRescue(database, nothing, stalled_after=stalled_after).sweep()


@contextmanager
def frozen(database: Database, key: int) -> Iterator[None]:
    """A process that has locked a job's row and says nothing more; then it goes on, and finds its session ended."""
    stack = ExitStack()
    held = stack.enter_context(database.write())
    job_rows.by_key(held, key, lock=True)
    try:
        yield
        with pytest.raises(DBAPIError) as raised:
            held.execute(text("SELECT 1"))
        assert type(database.backend.translated(raised.value)) is DatabaseDown
    finally:
        with suppress(SQLAlchemyError):
            stack.close()


def lock_row(database: Database, key: int, within: float) -> None:
    with database.write(within=within) as connection:
        job_rows.by_key(connection, key, lock=True)


def test_a_worker_that_turns_stale_within_a_sweep_is_given_up_by_the_next_one_with_all_that_it_holds(
    database: Database, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = add_job(database)
    gone, stale = add_worker(database, "gone", LONG_AGO), add_worker(database, "stale")
    its = {worker: add_entry(database, worker) for worker in (gone, stale)}
    end_sessions = worker_rows.end_sessions

    def end_and_turn_stale(connection: Connection, *args: object) -> tuple[int, int]:
        with database.write() as another:
            query = text("UPDATE procrastinate_workers SET last_heartbeat = now() - :ago WHERE id = :id")
            another.execute(query, {"ago": LONG_AGO, "id": stale})
        return end_sessions(connection, *args)  # type: ignore[arg-type]

    with frozen(open_database("stale"), key):
        monkeypatch.setattr(worker_rows, "end_sessions", end_and_turn_stale)
        sweep(database)
        assert ids(database, "workers") == ids(database, "procrastinate_workers") == {stale}
        assert ids(database, "procrastinate_jobs") == {its[stale]}
        with pytest.raises(DatabaseBusy):
            lock_row(database, key, 0.1)
        sweep(database)
        lock_row(database, key, 20)
    assert ids(database, "workers") == ids(database, "procrastinate_workers") == set()
    assert ids(database, "procrastinate_jobs") == set()


def test_a_sweep_that_breaks_off_leaves_the_lost_to_the_next_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = add_worker(database, "gone", LONG_AGO)
    entry = add_entry(database, gone)
    with monkeypatch.context() as patch:
        patch.setattr(worker_rows, "give_up", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep(database)
    assert (ids(database, "workers"), ids(database, "procrastinate_jobs")) == ({gone}, {entry})
    sweep(database)
    assert (ids(database, "workers"), ids(database, "procrastinate_jobs")) == (set(), set())


def test_a_worker_that_begins_forgets_nobody(url: str, database: Database) -> None:
    add_worker(database, "gone", LONG_AGO)

    async def begin() -> None:
        connector = PsycopgConnector(conninfo=conninfo(url))
        async with App(connector=connector).open_async():
            manager = RetryingJobManager(connector, Lease(STALLED_AFTER), registered=lambda _: None, given_up=nothing)
            await manager.prune_stalled_workers(STALLED_AFTER)

    asyncio.run(begin())
    assert len(ids(database, "procrastinate_workers")) == 1


def test_what_nobody_has_at_work_is_removed_and_what_waits_or_is_done_stays(database: Database) -> None:
    alive = add_worker(database, "alive")
    orphan, done = add_entry(database, None), add_entry(database, alive)
    with database.write() as connection:
        query = text("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('a', 'jobsvc.run') RETURNING id")
        waiting = connection.execute(query).scalar_one()
    sweep(database)
    assert ids(database, "procrastinate_jobs") == {done, waiting}
    assert orphan not in ids(database, "procrastinate_jobs")


def test_after_a_start_of_the_server_nobody_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add_worker(database, "gone", LONG_AGO)
    monkeypatch.setattr(worker_rows, "server_started_within", lambda *_: True)
    sweep(database)
    assert len(ids(database, "workers")) == 1


@pytest.mark.parametrize("role", ["web", "worker"], ids=["web process", "worker that was forgotten already"])
def test_the_sweep_ends_the_session_of_a_process_that_is_frozen_within_a_transaction(
    database: Database, open_database: Open, role: str
) -> None:
    key = add_job(database)
    with frozen(open_database(worker_rows.session_name(role)), key):
        with database.write() as connection:
            assert worker_rows.end_sessions(connection, [], LONG_AGO) == (0, 0)
        sweep(database, stalled_after=0)
        lock_row(database, key, 20)


def test_the_sweep_ends_a_session_that_is_frozen_within_a_copy(url: str, database: Database) -> None:
    key = add_job(database)
    with (  # noqa: PT012
        pytest.raises(psycopg.OperationalError),
        psycopg.connect(conninfo(url, worker_rows.session_name("web"))) as connection,
    ):
        connection.execute("SELECT 1 FROM jobs WHERE key = %s FOR UPDATE", (key,))
        with connection.cursor().copy("COPY records (job_key, row, date, data) FROM STDIN") as copy:
            copy.write_row((key, 1, "2026-01-01", "[]"))

            def waits() -> bool:
                query = "SELECT wait_event FROM pg_stat_activity WHERE pid = :pid AND query LIKE 'COPY%'"
                with database.read() as seen:
                    return seen.execute(text(query), {"pid": connection.info.backend_pid}).scalar() == "ClientRead"

            poll(waits, 20, "the server to wait for more")
            sweep(database, stalled_after=0)
            lock_row(database, key, 20)


def test_the_sweep_leaves_alone_who_is_alive_who_waits_for_a_lock_and_who_is_none_of_ours(
    database: Database, open_database: Open, url: str
) -> None:
    key = add_job(database)
    alive = worker_rows.session_name("worker")
    add_worker(database, alive)
    # It began anew: what is left of its first worker doesn't count.
    add_worker(database, alive, LONG_AGO)
    busy, stranger = open_database(alive), open_database("psql")
    idle = open_database(worker_rows.session_name("web"))
    with idle.read() as connection:
        connection.execute(text("SELECT 1"))
    with busy.write() as held, stranger.read() as looking:
        job_rows.by_key(held, key, lock=True)
        looking.execute(text("SELECT 1"))
        sweep(database, stalled_after=STALLED_AFTER)
        with database.write() as connection:
            assert worker_rows.end_sessions(connection, worker_rows.lost(connection, LONG_AGO), timedelta(0)) == (0, 0)
        held.execute(text("SELECT 1"))
        looking.execute(text("SELECT 1"))
    with idle.read() as connection:
        connection.execute(text("SELECT 1"))


def test_a_session_that_the_role_may_not_end_does_not_keep_the_sweep_from_the_others(
    database: Database, open_database: Open, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = add_job(database)
    role = make_url(url).database
    administer(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'", f'GRANT pg_read_all_stats TO "{role}"')
    try:
        with database.write() as connection:
            connection.execute(text(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{role}"'))
        lesser = open_database(
            url=make_url(url).set(username=role, password="secret").render_as_string(hide_password=False)
        )
        gone = add_worker(database, "gone", LONG_AGO)
        owned = open_database(worker_rows.session_name("web"))
        with owned.write() as held:
            job_rows.by_key(held, key, lock=True)
            sweep(lesser, stalled_after=0)
            held.execute(text("SELECT 1"))
        assert gone not in ids(database, "workers")
        assert "1 sessions of processes that were given up are another role's" in caplog.text
        lesser.close()
    finally:
        with database.write() as connection:
            connection.execute(text(f'DROP OWNED BY "{role}"'))
        administer(f'DROP ROLE "{role}"')
