"""On PostgreSQL: a job is changed while somebody who has found it waits for its row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import RowMapping

from jobsvc.jobs.states import State
from jobsvc.store.queries.sharing.of_others import first_of_others
from tests.runs.sharing.test_user_slots import add, due
from tests.support.databases import fresh
from tests.support.environment import Environment
from tests.support.waiting import TIMEOUT, poll

WAITS = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = %s)"
)


@pytest.fixture
def database_url() -> Iterator[str]:
    with fresh("postgresql") as url:
        yield url


def somebody_waits(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(WAITS, (connection.info.dbname,)).fetchone() != (0,)


@pytest.mark.parametrize("before", ["state = 'paused'", "not_before = now() + interval '60 seconds'"])
def test_a_job_that_was_paused_or_put_off_meanwhile_is_passed_over(
    make_env: Callable[..., Environment], database_url: str, before: str
) -> None:
    env = make_env(start=False)
    add(env, [{"user": "ann", "turn": 1}, {"user": "bob", "turn": 2}, {"user": "eve", "turn": 3}])

    def find() -> RowMapping | None:
        with env.database.write() as connection:
            return first_of_others(connection, State.QUEUED, due(), ["ann"])

    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as other:
        other.execute(f"UPDATE jobs SET {before} WHERE \"user\" = 'bob'".encode())
        found = pool.submit(find)
        poll(lambda: somebody_waits(database_url), TIMEOUT, "the row of bob's job to be waited for")
        other.commit()
        row = found.result(TIMEOUT)
    assert row is not None
    assert (row["user"], row["state"]) == ("eve", "queued")
