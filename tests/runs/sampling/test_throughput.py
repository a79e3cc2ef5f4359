"""What runs add to the throughput of the service: every item once, in the time in which it was dealt with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from jobsvc.jobs.states import State
from jobsvc.runs.sampling.throughput import Throughput, spread
from jobsvc.store.database import Database
from jobsvc.store.queries.sampling.throughput_rows import BUCKET_SECONDS, KEPT_SECONDS
from jobsvc.store.tables import throughput
from tests.support.environment import WHO, Environment

BEGIN = 1_000_000.0
"""On the clock of these tests, in seconds since 1970: where a bucket begins."""


class Clock:
    def __init__(self) -> None:
        self.at = BEGIN

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)


def told(database: Database) -> dict[int, float]:
    """All items by bucket, counted from `BEGIN`; rounded."""
    with database.read() as connection:
        rows = connection.execute(select(throughput.c.bucket, throughput.c.total)).all()
    found: dict[int, float] = {}
    for bucket, items in rows:
        number = bucket - int(BEGIN // BUCKET_SECONDS)
        found[number] = round(found.get(number, 0.0) + items, 6)
    return found


def total(database: Database) -> float:
    return round(sum(told(database).values()), 6)


class Run:
    """A run that commits when the test says so."""

    def __init__(self, database: Database, before: int = 0) -> None:
        self.clock, self._database = Clock(), database
        self._throughput = Throughput(self.clock, before)

    def checkpoint(self, after: float, items: int, *, last: bool = False, lost: bool = False) -> None:
        self.clock.at = BEGIN + after
        with self._database.write() as connection:
            noted = self._throughput.add(connection, items, last=last)
            if lost:
                connection.rollback()
        if not lost:
            self._throughput.noted(noted)


def test_items_are_told_when_a_bucket_is_over_and_the_rest_at_the_end(idle: Environment) -> None:
    run = Run(idle.database, before=1000)
    run.checkpoint(1, 1100)
    run.checkpoint(4, 1400)
    assert told(idle.database) == {}
    run.checkpoint(6, 1600)
    assert told(idle.database) == {0: 500.0}
    run.checkpoint(7, 1700, last=True)
    assert told(idle.database) == {0: 500.0, 1: 200.0}


def test_items_of_a_slow_checkpoint_are_spread_evenly_over_its_time(idle: Environment) -> None:
    Run(idle.database).checkpoint(15, 300)
    assert told(idle.database) == {0: 100.0, 1: 100.0, 2: 100.0}


def test_what_was_not_committed_is_told_by_the_next_try(idle: Environment) -> None:
    run = Run(idle.database)
    run.checkpoint(10, 100, lost=True)
    run.checkpoint(10, 100)
    run.checkpoint(10.5, 150, last=True)
    assert total(idle.database) == 150


def test_a_clock_that_is_set_back_loses_no_item(idle: Environment) -> None:
    run = Run(idle.database)
    run.checkpoint(10, 100)
    run.checkpoint(-50, 200)
    run.checkpoint(-50, 300, last=True)
    assert total(idle.database) == 300


@given(
    since=st.floats(0, 10_000),
    seconds=st.floats(0, 2 * KEPT_SECONDS),
    items=st.integers(1, 10**9),
)
def test_spreading_loses_no_item_and_stays_within_its_time(since: float, seconds: float, items: int) -> None:
    until = since + seconds
    found = spread(since, until, items)
    assert sum(found.values()) == pytest.approx(items)
    assert min(found) >= max(since, until - KEPT_SECONDS) // BUCKET_SECONDS
    assert max(found) <= until // BUCKET_SECONDS
    assert len(found) <= KEPT_SECONDS / BUCKET_SECONDS + 1


@pytest.mark.both_databases
def test_a_job_tells_each_item_once_over_a_pause_and_two_runs(env: Environment) -> None:
    job = env.submit_reached(1, count=10)
    env.gated.gate.open(3)
    env.gated.gate.wait_reached(4)
    env.service.pause(job.id, WHO, 0)
    env.gated.gate.open(1)
    env.wait_for(job, State.PAUSED)
    assert total(env.database) == env.job(job).done == 4
    env.service.resume(job.id, WHO, 0)
    env.gated.gate.open()
    env.wait_for(job, State.SUCCEEDED)
    assert total(env.database) == 10
