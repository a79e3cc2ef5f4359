"""The same on PostgreSQL, where others hold rows, connections, or freeze within a transaction."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from time import monotonic

import psycopg
import pytest
from sqlalchemy import text

from jobsvc.deadlines import time_limit
from jobsvc.jobs.states import State
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.postgresql import backend as postgresql
from jobsvc.store.postgresql.backend import conninfo
from tests.support.databases import fresh
from tests.support.environment import Environment
from tests.support.processes import ROOT
from tests.support.waiting import TIMEOUT

REQUESTS = 6
MAX_SECONDS = 4.0
"""For requests that wait for one second. One after the other, they would take half as long again together."""


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(Settings(database_url=database_url).url)
    yield database
    database.close()


@contextmanager
def holding(url: str, statement: str, *values: object) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction has executed that, and is under way."""
    with psycopg.connect(url) as other:
        other.execute(statement.encode(), values)
        yield other
        other.rollback()


def test_requests_for_a_job_whose_row_is_locked_are_answered_in_their_time(
    make_env: Callable[..., Environment], database_url: str
) -> None:
    env = make_env()
    job = env.submit_reached()

    def ask(number: int) -> float:
        begun = monotonic()
        asked = (
            lambda: env.service.pause(job.id, "Ann", 1),
            lambda: env.service.terminate(job.id, "Ann", 1),
            lambda: env.service.terminate(job.id, "Ann", 1, rollback=True),
        )
        with pytest.raises(DatabaseBusy):
            asked[number % 3]()
        return monotonic() - begun

    with holding(database_url, "SELECT 1 FROM jobs WHERE id = %s FOR UPDATE", job.id):
        with ThreadPoolExecutor(REQUESTS) as pool:
            assert max(pool.map(ask, range(REQUESTS))) < MAX_SECONDS
        assert env.job(job).state is State.RUNNING
    assert env.service.pause(job.id, "Ann", 0).state is State.PAUSING
    env.gated.gate.open()
    env.wait_for(job, State.PAUSED)


def test_what_was_asked_for_before_the_database_was_locked_is_acknowledged(
    make_env: Callable[..., Environment], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env()
    job = env.submit_reached()
    with ExitStack() as stack:

        def lock() -> None:
            stack.enter_context(holding(database_url, "LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))

        # The transaction that asks for the pause is committed then.
        monkeypatch.setattr(env.notifier, "notify", lock)
        begun = monotonic()
        assert env.service.pause(job.id, "Ann", 0).state is State.PAUSING
        assert monotonic() - begun < MAX_SECONDS
        monkeypatch.undo()
    env.gated.gate.open()
    env.wait_for(job, State.PAUSED)


def test_what_a_transaction_has_waited_for_one_lock_it_does_not_wait_for_the_next(database: Database) -> None:
    with database.write(within=20) as connection:
        # Stands for a statement that has waited for a lock.
        connection.execute(text("SELECT pg_sleep(0.3)"))
        left = connection.execute(text("SELECT setting::int FROM pg_settings WHERE name = 'lock_timeout'")).scalar_one()
    assert 0 < left <= 19_700
    with database.write() as connection:
        setting = connection.execute(text("SHOW lock_timeout")).scalar_one()
    assert setting == "30s", "the limit of one transaction holds for the next"


def test_transactions_of_one_request_share_its_patience(database: Database) -> None:
    begun = monotonic()
    with time_limit(0.5), database.write() as held:
        held.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        for _ in range(20):
            with pytest.raises(DatabaseBusy), database.write() as connection:
                connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
    assert monotonic() - begun < 0.5 + MAX_SECONDS


def test_who_finds_all_connections_in_use_waits_no_longer_than_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "MAX_CONNECTIONS", 2)
    database = Database(Settings(database_url=database_url).url)
    for _ in range(2):
        with database.read() as first, database.write() as second:
            for connection in (first, second):
                connection.execute(text("SELECT 1"))
            with pytest.raises(DatabaseBusy, match="all 2 connections"):  # noqa: SIM117
                with database.read(within=0.1):
                    pass
    database.close()


def test_a_process_that_freezes_within_a_transaction_loses_it_and_its_job_can_be_paused(
    make_env: Callable[..., Environment], database_url: str
) -> None:
    env = make_env(start=False)
    job = env.submit()
    command = [
        sys.executable,
        "-m",
        "tests.support.programs.frozen_transaction",
        Settings(database_url=database_url).url,
        str(job.key),
        "1",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "holds it\n"
            process.send_signal(signal.SIGSTOP)
            assert env.service.pause(job.id, "Ann", TIMEOUT).state is State.PAUSED
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate("go on\n", TIMEOUT)
        finally:
            process.kill()
    assert said.startswith("lost it: ")
    assert "\n" not in said.strip()
    paused = env.job(job)
    assert (paused.state, paused.done) == (State.PAUSED, 0)


def test_every_session_ends_by_itself_and_the_url_s_own_options_prevail(database_url: str) -> None:
    def setting(url: str, name: str) -> str:
        with psycopg.connect(conninfo(url, "somebody", 12)) as connection:
            found = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
            assert found is not None
            return str(found[0])

    url = Settings(database_url=database_url).url
    assert setting(url, "idle_in_transaction_session_timeout") == "12s"
    assert setting(url, "lock_timeout") == "30s"
    own = f"{url}{'&' if '?' in url else '?'}options=-c%20lock_timeout%3D4s%20-c%20work_mem%3D5MB"
    assert [setting(own, name) for name in ("lock_timeout", "work_mem")] == ["4s", "5MB"]
    assert setting(own, "idle_in_transaction_session_timeout") == "12s"
    database = Database(own, idle_seconds=12)
    with database.read() as connection:
        for name, value in (("lock_timeout", "4s"), ("idle_in_transaction_session_timeout", "12s")):
            assert connection.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one() == value
    database.close()
