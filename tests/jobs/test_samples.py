"""A series of points stays short however long a job runs, and its rates are those of its run time."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobsvc.jobs.samples import FIRST_SECONDS, MOST, Point, Series


def point(ran: float, items: int = 0, at: float | None = None) -> Point:
    return Point(round(1000 * (ran if at is None else at)), items, 0, ran)


@pytest.mark.parametrize("seconds", [10, 199, 200, 201, 5_000, 1_000_000])
def test_a_long_run_leaves_points_over_its_whole_life_at_even_distances(seconds: int) -> None:
    series, written, ran = Series().followed_by(point(0)), 0, 0.0
    while ran < seconds:
        ran = min(seconds, ran + series.every)
        series = series.followed_by(point(ran, round(7 * ran)))
        written += 1
        assert len(series.points) <= MOST
    assert (series.points[0].ran, series.points[-1].ran) == (0, seconds)
    gaps = [after.ran - before.ran for before, after in pairwise(series.points)]
    assert max(gaps) <= 2 * series.every
    assert len(gaps) >= min(seconds, MOST / 2 - 1)
    assert {round(rate) for rate in series.rates()[1:] if rate is not None} == {7}
    # Twice the time costs a hundred writes more.
    assert written <= MOST * max(1, seconds.bit_length() - 6)


def test_many_short_runs_do_not_make_the_points_of_a_later_one_rare() -> None:
    series, ran = Series(), 0.0
    for run in range(1000):
        series = series.followed_by(point(ran, run, at=60 * run), point(ran + 0.01, run + 1, at=60 * run + 0.01))
        ran += 0.01
    assert len(series.points) <= MOST
    assert (series.points[0].items, series.points[-1].items) == (0, 1000)
    assert series.every == FIRST_SECONDS


def test_a_rate_is_of_the_time_in_which_runs_worked() -> None:
    began, paused, resumed, ended = point(0), point(2, 100), point(2, 100, at=3600), point(4, 150, at=3602)
    assert Series((began, paused, resumed, ended)).rates() == [None, 50.0, None, 25.0]
    assert Series((began, ended)).rates() == [None, 37.5]
    assert Series().rates() == []


@given(
    st.lists(st.tuples(st.integers(0), st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 1e9)), max_size=9)
)
def test_what_is_stored_is_read(points: list[tuple[int, int, int, float]]) -> None:
    series = Series(tuple(Point(*each) for each in points), 3.0)
    assert Series.read(series.stored(), 3.0) == series


@pytest.mark.parametrize("stored", ["", "{}", "[1]", "[[1,2,3]]", '[[1,2,3,"x"]]', "[[1,2,3,null]]", "null"])
def test_what_somebody_else_has_stored_counts_for_nothing(stored: str) -> None:
    assert Series.read(stored, 3.0).points == ()
