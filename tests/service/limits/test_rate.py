"""Buckets of requests: in one process by the test's clock, and over all processes that share a PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobsvc.jobs.errors import TooManyRequests
from jobsvc.service.limits import rate
from jobsvc.service.limits.rate import Bucket, Buckets, OwnBuckets, RequestRate, SharedBuckets, Sort
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from tests.support.databases import fresh

ANN = Bucket("ann", Sort.OTHER)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def databases() -> Iterator[list[Database]]:
    """That of three processes."""
    with fresh("postgresql") as url:
        made = [Database(Settings(database_url=url).url) for _ in range(3)]
        yield made
        for database in made:
            database.close()


def taken(buckets: Buckets, interval: float, most: int = 100) -> int:
    """How many requests a bucket gives at once."""
    return next(count for count in range(most) if buckets.take(ANN, interval) > 0)


def test_a_full_bucket_has_two_seconds_worth_and_fills_up_at_the_rate() -> None:
    clock = Clock()
    buckets = OwnBuckets(clock)
    for most in (1, 3, 5, 6, 7, 49, 1000):
        clock.seconds += 10
        assert taken(buckets, 1 / most, 3000) == 2 * most
        clock.seconds += 1
        assert taken(buckets, 1 / most, 3000) == most


def test_it_says_after_how_many_seconds_there_is_one_and_then_there_is() -> None:
    clock = Clock()
    buckets = OwnBuckets(clock)
    taken(buckets, 0.5)
    clock.seconds += 0.1
    wait = buckets.take(ANN, 0.5)
    assert wait == pytest.approx(0.4, abs=0.002)
    clock.seconds += wait - 0.01
    assert buckets.take(ANN, 0.5) > 0
    clock.seconds += 0.011
    assert buckets.take(ANN, 0.5) == 0


def test_a_refused_request_takes_nothing() -> None:
    clock = Clock()
    buckets = OwnBuckets(clock)
    taken(buckets, 1.0)
    for _ in range(1000):
        assert buckets.take(ANN, 1.0) > 0
    clock.seconds += 1
    assert buckets.take(ANN, 1.0) == 0


def test_each_user_has_a_bucket_and_another_one_to_steer() -> None:
    buckets = OwnBuckets(Clock())
    taken(buckets, 1.0)
    assert buckets.take(Bucket("ann", Sort.STEER), 1.0) == 0
    assert buckets.take(Bucket("bob", Sort.OTHER), 1.0) == 0


def at_once(buckets: list[Buckets], interval: float) -> int:
    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(lambda n: buckets[n % len(buckets)].take(ANN, interval), range(60))).count(0)


def test_threads_that_come_at_once_get_no_more_than_there_is() -> None:
    assert at_once([OwnBuckets(Clock())], 0.1) == 20


def test_all_processes_together_get_no_more_than_there_is(
    databases: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long the test takes, nothing fills up.
    monkeypatch.setattr(rate, "BURST_SECONDS", 100_000)
    assert at_once([SharedBuckets(database) for database in databases], 10_000) == 10


def test_a_shared_bucket_fills_up_and_says_when(databases: list[Database]) -> None:
    buckets = SharedBuckets(databases[0])
    assert [buckets.take(ANN, 1.0), buckets.take(ANN, 1.0)] == [0, 0]
    wait = buckets.take(ANN, 2.0)
    assert 0 < wait <= 2
    with databases[1].write() as connection:
        connection.exec_driver_sql("UPDATE request_rates SET rested_at = rested_at - interval '2 seconds'")
    assert SharedBuckets(databases[2]).take(ANN, 2.0) == 0
    assert buckets.take(Bucket("ann", Sort.STEER), 2.0) == 0
    assert buckets.take(Bucket("bob", Sort.OTHER), 2.0) == 0


def test_a_clock_that_is_set_back_keeps_nobody_out(databases: list[Database]) -> None:
    buckets = SharedBuckets(databases[0])
    assert taken(buckets, 1.0) == 2
    with databases[1].write() as connection:
        # As an hour later it would say, had the clock been right.
        connection.exec_driver_sql("UPDATE request_rates SET rested_at = rested_at + interval '1 hour'")
    assert taken(buckets, 1.0) == 2


def test_the_limit_is_told_with_whole_seconds() -> None:
    limit = RequestRate(OwnBuckets(Clock()), 3)
    for _ in range(6):
        limit.check("ann", Sort.OTHER)
    with pytest.raises(TooManyRequests, match=r"than 3 a second.*JOBSVC_USER_MAX_REQUESTS.*in 1 s") as told:
        limit.check("ann", Sort.OTHER)
    assert told.value.retry_after == 1


def test_without_a_limit_no_bucket_is_asked() -> None:
    class NoBuckets:
        def take(self, bucket: Bucket, interval: float) -> float:
            raise AssertionError

    for _ in range(100):
        RequestRate(NoBuckets(), 0).check("ann", Sort.OTHER)
