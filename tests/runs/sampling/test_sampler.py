"""The points that runs of a job leave behind, with the clocks in the test's hands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from jobsvc.identifiers import JobKey
from jobsvc.jobs.samples import Point, Series
from jobsvc.runs.sampling.sampler import Sampler
from jobsvc.store.queries.sampling import sample_rows
from tests.support.environment import Environment

pytestmark = pytest.mark.both_databases


class Life:
    """A job, and runs of it."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._key: JobKey = env.submit().key
        self.time = 0.0

    def run(self, done: int = 0) -> Sampler:
        return Sampler(lambda: datetime.fromtimestamp(self.time, UTC), self._key, done, 0, clock=lambda: self.time)

    def checkpoint(
        self, run: Sampler, at: float, done: int, *, failed: int = 0, last: bool = False, lost: bool = False
    ) -> None:
        self.time = at
        with self._env.database.write() as connection:
            known = run.add(connection, done, failed, last=last)
            if lost:
                connection.rollback()
        if not lost:
            run.noted(known)

    @property
    def series(self) -> Series:
        with self._env.database.read() as connection:
            row = sample_rows.of_job(connection, self._key)
        return Series() if row is None else Series.read(row["points"], row["every"])

    @property
    def points(self) -> list[tuple[float, int, float]]:
        """In seconds: when, how many items, how long runs had worked."""
        return [(each.at / 1000, each.items, each.ran) for each in self.series.points]


@pytest.fixture
def life(idle: Environment) -> Life:
    return Life(idle)


def test_a_point_is_left_once_a_second_and_where_the_run_stops(life: Life) -> None:
    run = life.run()
    life.checkpoint(run, 0.5, 50)
    assert life.points == []
    life.checkpoint(run, 1.25, 120, failed=5)
    life.checkpoint(run, 2.0, 200, failed=5)
    life.checkpoint(run, 2.25, 220, failed=5)
    life.checkpoint(run, 2.5, 240, failed=5, last=True)
    assert life.points == [(0, 0, 0), (1.25, 125, 1.25), (2.25, 225, 2.25), (2.5, 245, 2.5)]
    assert life.series.points[1] == Point(1250, 120, 5, 1.25)


def test_a_run_of_less_than_a_second_has_its_begin_and_its_end(life: Life) -> None:
    life.checkpoint(life.run(), 0.25, 10, last=True)
    assert life.points == [(0, 0, 0), (0.25, 10, 0.25)]


def test_a_paused_stretch_is_no_run_time(life: Life) -> None:
    life.checkpoint(life.run(), 2, 200, last=True)
    life.time = 1000
    run = life.run(200)
    life.checkpoint(run, 1001, 210)
    life.checkpoint(run, 1001.5, 215, last=True)
    assert life.points == [(0, 0, 0), (2, 200, 2), (1000, 200, 2), (1001, 210, 3), (1001.5, 215, 3.5)]
    assert life.series.rates() == [None, 100.0, None, 10.0, 10.0]


def test_what_a_killed_run_had_done_since_its_last_point_is_at_no_rate(life: Life) -> None:
    life.checkpoint(life.run(), 1, 100)
    life.time = 50
    life.checkpoint(life.run(180), 51, 200)
    assert life.points == [(0, 0, 0), (1, 100, 1), (50, 180, 1), (51, 200, 2)]
    assert life.series.rates() == [None, 100.0, None, 20.0]


def test_a_run_that_goes_on_at_once_has_no_point_for_its_begin(life: Life) -> None:
    life.checkpoint(life.run(), 1, 100, last=True)
    life.time = 1.5
    life.checkpoint(life.run(100), 2.5, 200)
    assert life.points == [(0, 0, 0), (1, 100, 1), (2.5, 200, 2)]


def test_what_was_not_committed_is_not_there_and_comes_with_the_next_try(life: Life) -> None:
    run = life.run()
    life.checkpoint(run, 1, 100, lost=True)
    assert life.points == []
    life.checkpoint(run, 1.25, 100)
    life.checkpoint(run, 3, 300, lost=True)
    life.checkpoint(run, 3, 300)
    assert life.points == [(0, 0, 0), (1.25, 100, 1.25), (3, 300, 3)]


def test_an_end_with_nothing_new_leaves_no_point(life: Life) -> None:
    run = life.run()
    life.checkpoint(run, 1, 100)
    life.checkpoint(run, 1.5, 100, last=True)
    assert life.points == [(0, 0, 0), (1, 100, 1)]


def test_a_clock_that_is_set_back_turns_no_point_round(life: Life) -> None:
    life.time = 100
    run = life.run()
    life.checkpoint(run, 102, 200, last=True)
    life.time = 40
    run = life.run(200)
    life.checkpoint(run, 42, 400, last=True)
    assert [at for at, _, _ in life.points] == [100, 102, 102, 102]
    assert life.series.rates() == [None, 100.0, None, 100.0]
