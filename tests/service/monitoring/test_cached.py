"""One reading answers all that ask within a moment."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from jobsvc.service.monitoring.cached import FRESH_SECONDS, KEPT, Cached
from tests.support.waiting import TIMEOUT


class Source:
    def __init__(self) -> None:
        self.time = 0.0
        self.times = 0
        self.broken = False
        self.asked, self.let = Event(), Event()
        self.let.set()

    def read(self, whom: str | None) -> str:
        self.times += 1
        number = self.times
        self.asked.set()
        assert self.let.wait(TIMEOUT)
        if self.broken:
            raise ConnectionError
        return f"{whom} {number}"


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def cached(source: Source) -> Cached[str]:
    return Cached(source.read, lambda: source.time)


def test_a_reading_is_good_for_a_moment_for_the_same_caller_alone(source: Source, cached: Cached[str]) -> None:
    assert [cached.get("Ann"), cached.get("Ann"), cached.get("Bob")] == ["Ann 1", "Ann 1", "Bob 2"]
    source.time = FRESH_SECONDS
    assert cached.get("Ann") == "Ann 3"


def test_while_one_thread_reads_anew_others_take_what_was_found_before(source: Source, cached: Cached[str]) -> None:
    cached.get()
    source.time = FRESH_SECONDS
    source.asked.clear()
    source.let.clear()
    thread = Thread(target=cached.get)
    thread.start()
    assert source.asked.wait(TIMEOUT)
    assert cached.get() == "None 1"
    source.let.set()
    thread.join(TIMEOUT)
    assert cached.get() == "None 2"


def test_a_reading_that_fails_is_told_and_leaves_nothing_behind(source: Source, cached: Cached[str]) -> None:
    cached.get()
    source.time = FRESH_SECONDS
    source.broken = True
    for _ in range(2):
        with pytest.raises(ConnectionError):
            cached.get()
    source.broken = False
    assert cached.get() == "None 4"


def test_readings_for_many_callers_are_not_kept_for_ever(source: Source, cached: Cached[str]) -> None:
    for number in range(KEPT + 1):
        cached.get(str(number))
    assert cached.get(str(KEPT)) == f"{KEPT} {KEPT + 1}"
    assert cached.get("0") == f"0 {KEPT + 2}"
