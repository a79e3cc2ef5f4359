"""Faults that no part has by itself: of a claim and a rollback, a limit and a savepoint, a session and a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from jobsvc.clock import now
from jobsvc.engines.threads import ThreadEngine
from jobsvc.files.contract import StopSign
from jobsvc.files.local.files import LocalFiles
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.contract import Effects, JobContext, JobInfo
from jobsvc.runs.recovery import recover
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from jobsvc.service.core import Core
from jobsvc.service.jobs import JobService
from jobsvc.service.new_job import NewJob
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.disk.open_room import open_room
from jobsvc.store.errors import DiskFull
from jobsvc.store.inserts import new
from jobsvc.store.locks import process_lock
from jobsvc.store.locks.process_lock import ProcessLock
from jobsvc.store.migrate import prepare
from jobsvc.store.postgresql import backend as postgresql
from jobsvc.store.queries import job_rows
from jobsvc.store.sqlite.backend import Sqlite
from tests.support.databases import fresh
from tests.support.given_jobs import GivenJobs


@pytest.fixture
def url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


def engine(claim: Callable[[], Any] = lambda: None) -> ThreadEngine[Any, Any]:
    return ThreadEngine(GivenJobs(claim), on_leave=lambda: None, slots=1, park_after=0)


def core_of(database: Database, files: LocalFiles, kind: RowKind) -> Core:
    return Core.on(database, files, {kind.name: kind}, now, Settings())


def service(database: Database, files: LocalFiles, kind: RowKind) -> JobService:
    return core_of(database, files, kind).service(engine(), engine())


def add(database: Database, job_id: str, **values: Any) -> int:
    given = {"id": job_id, "kind": "three", "user": "u", "state": State.QUEUED, "params": {}, "created_at": now()}
    with database.write() as connection:
        return job_rows.add(connection, given | {"queued_at": now()} | values)


def stored(database: Database, key: int) -> Job:
    with database.read() as connection:
        return Job.from_row(job_rows.by_key(connection, key))


class Three(RowKind):
    """Three items; tells what happens."""

    name = "three"
    takes_file = False

    def __init__(self) -> None:
        self.told: list[object] = []

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(((number, number) for number in range((after or 0) + 1, 4)), 3)

    def process(self, row: int, item: Item) -> None:
        self.told.append(row)

    def undo(self, effects: Effects, limit: int) -> int:
        self.told.append("undo")
        return 0

    def on_terminate(self, job: JobInfo) -> None:
        self.told.append("terminated")


def test_a_claim_that_broke_off_is_not_taken_up_by_a_run_when_the_job_is_being_rolled_back(tmp_path: Path) -> None:
    database, files, kind = Database(f"sqlite:///{tmp_path / 'j.db'}"), LocalFiles(tmp_path / "files"), Three()
    prepare(database)
    core = core_of(database, files, kind)
    runner, rollbacks = core.runner, core.rollbacks
    jobs = core.service(engine(), engine())
    jobs.submit(NewJob(id="J", kind=kind.name, user="u", params={}))
    full = [True]

    def refuse(_: object) -> None:
        if full:
            full.clear()
            raise DiskFull("no room at the commit")

    event.listen(database.backend.engine, "commit", refuse)
    with pytest.raises(DiskFull):
        runner.claim()
    assert jobs.terminate("J", "u", 0, rollback=True).state is State.TERMINATING
    claimed = rollbacks.claim()
    assert claimed is not None
    assert runner.claim() is None
    assert rollbacks.run(claimed, Signals()) is State.TERMINATED
    assert kind.told == ["undo", "terminated"]
    database.close()


def test_no_two_advisory_locks_have_the_same_number() -> None:
    numbers = [postgresql.MIGRATIONS_LOCK, postgresql.SUSPECTS_LOCK, process_lock.LOCK, new._LOCKS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("shared", [False, True])
def test_a_job_that_has_crashed_begins_while_the_process_has_its_lock(url: str, tmp_path: Path, shared: bool) -> None:
    database, kind = Database(Settings(database_url=url).url), Three()
    lock = ProcessLock(Settings(database_url=url).url, shared=shared)
    lock.acquire(0)
    try:
        key = add(database, "J", crashes=2, attempt=2)
        claimed = Runner(database, LocalFiles(tmp_path), {kind.name: kind}, now).claim()
        assert claimed is not None
        assert (claimed.key, claimed.crashes) == (key, 3)
    finally:
        lock.release()
        database.close()


class LeavesSlowly(Three):
    def __init__(self, statement: str) -> None:
        super().__init__()
        self._statement = statement

    def clean_up(self, effects: Effects) -> None:
        effects.execute(text(self._statement))


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_a_job_is_terminated_whatever_its_kind_does_at_the_end_and_however_long_it_takes(
    url: str, tmp_path: Path, seconds: float
) -> None:
    statement = f"DO $$ BEGIN PERFORM pg_sleep({seconds}); RAISE EXCEPTION 'no'; END $$"
    database, kind = Database(Settings(database_url=url).url), LeavesSlowly(statement)
    jobs = service(database, LocalFiles(tmp_path), kind)
    jobs.submit(NewJob(id="J", kind=kind.name, user="u", params={}))
    assert jobs.terminate("J", "u", 5).state is State.TERMINATED
    database.close()


class Idle(Three):
    """Keeps a connection while the server ends its session."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def process(self, row: int, item: Item) -> None:
        super().process(row, item)
        with item.read() as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with psycopg.connect(self._url, autocommit=True) as other:
                there = "SELECT pg_sleep(0.05), count(*) FROM pg_stat_activity WHERE pid = %s"
                while other.execute(there, [mine]).fetchone() != ("", 0):
                    pass


def test_a_kind_that_keeps_a_connection_idle_is_not_taken_for_an_outage_for_ever(url: str, tmp_path: Path) -> None:
    database = Database(Settings(database_url=url).url, idle_seconds=0.2)
    kind = Idle(url)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    runner = Runner(database, LocalFiles(tmp_path), {kind.name: kind}, lambda: moment, max_crashes=2)
    key = add(database, "J", created_at=moment, queued_at=moment)
    for attempt, state in ((1, State.QUEUED), (2, State.FAILED)):
        claimed = runner.claim()
        assert claimed is not None
        runner.run(claimed, Signals())
        job = stored(database, key)
        assert (job.attempt, job.state, job.crashes) == (attempt, state, attempt)
    assert job.error is not None
    assert "must not keep a connection" in job.error
    database.close()


class Hanging(LocalFiles):
    """Takes longer than a session may be idle."""

    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        Event().wait(0.6)


def test_a_start_does_not_hold_a_transaction_while_the_store_of_the_files_hangs(url: str, tmp_path: Path) -> None:
    database = Database(Settings(database_url=url).url, idle_seconds=0.2)
    key = add(database, "J", state=State.TERMINATING, attempt=1)
    assert [job.id for job in recover(database, Hanging(tmp_path), now, resume=True)] == ["J"]
    assert stored(database, key).state is State.TERMINATED
    database.close()


class Refusing(LocalFiles):
    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        raise PermissionError(13, "not ours", job_id)


def test_an_output_that_cannot_be_removed_stops_no_start_and_no_request(tmp_path: Path) -> None:
    database, files, kind = Database(f"sqlite:///{tmp_path / 'j.db'}"), Refusing(tmp_path / "files"), Three()
    prepare(database)
    add(database, "J", state=State.TERMINATING, attempt=1)
    assert [job.id for job in recover(database, files, now, resume=True)] == ["J"]
    jobs = service(database, files, kind)
    jobs.submit(NewJob(id="K", kind=kind.name, user="u", params={}))
    assert jobs.terminate("K", "u", 5).state is State.TERMINATED
    assert kind.told == ["terminated"]
    database.close()


class Slow(LocalFiles):
    def __init__(self, directory: Path, over: Event) -> None:
        super().__init__(directory)
        self._over = over

    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        self._over.wait(30)


def test_a_request_does_not_wait_for_a_store_that_hangs(tmp_path: Path) -> None:
    over = Event()
    database, kind = Database(f"sqlite:///{tmp_path / 'j.db'}"), Three()
    prepare(database)
    jobs = service(database, Slow(tmp_path / "files", over), kind)
    jobs.submit(NewJob(id="J", kind=kind.name, user="u", params={}))
    assert jobs.terminate("J", "u", 0).state is State.TERMINATED
    assert not over.is_set()
    assert kind.told == [], "the hook comes after the files"
    over.set()
    database.close()


def test_the_log_and_the_reserve_are_where_the_database_is_whatever_path_leads_there(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").mkdir()
    (tmp_path / "real" / "x.db").touch()
    (tmp_path / "link" / "j.db").symlink_to(tmp_path / "real" / "x.db")

    settings = Settings(database_url=f"sqlite:///{tmp_path / 'link' / 'j.db'}", data_dir=tmp_path, min_free_bytes=0)
    backend = Sqlite(settings.url)
    assert str(backend._log._path).startswith(str(tmp_path / "real" / "x.db"))
    reserve = open_room(settings)._reserve
    assert reserve is not None
    assert reserve.path.parent == tmp_path / "real"
