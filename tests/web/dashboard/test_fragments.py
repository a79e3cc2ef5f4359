"""Live parts of pages are made once for many viewers."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from jobsvc.web.dashboard.fragments import MANY, SECONDS, STALE_SECONDS, Fragments
from tests.support.waiting import TIMEOUT


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_who_asks_within_a_second_gets_the_same(clock: Clock) -> None:
    fragments = Fragments(clock)
    first = fragments.get("list", lambda: "one")
    clock.now += SECONDS * 0.9
    assert fragments.get("list", lambda: "two") is first
    clock.now += SECONDS * 0.2
    assert fragments.get("list", lambda: "two").text == "two"


def test_the_tag_is_another_one_when_the_text_is(clock: Clock) -> None:
    fragments = Fragments(clock)
    tags = [fragments.get("list", lambda text=text: text, fresh=True).tag for text in ("one", "two", "one")]
    assert tags[0] == tags[2] != tags[1]


def test_other_viewers_get_another(clock: Clock) -> None:
    fragments = Fragments(clock)
    assert fragments.get("of ann", lambda: "one").text == "one"
    assert fragments.get("of bob", lambda: "two").text == "two"


def test_who_has_just_changed_something_gets_a_new_one_and_so_do_others_from_then_on(clock: Clock) -> None:
    fragments = Fragments(clock)
    fragments.get("list", lambda: "before")
    clock.now += 0.1
    assert fragments.get("list", lambda: "after", fresh=True).text == "after"
    assert fragments.get("list", lambda: "never").text == "after"


def test_one_that_was_begun_before_a_change_does_not_take_the_place_of_one_begun_after_it(clock: Clock) -> None:
    fragments = Fragments(clock)

    def meanwhile() -> str:
        clock.now += 0.1
        fragments.get("list", lambda: "after", fresh=True)
        return "before"

    assert fragments.get("list", meanwhile).text == "before"
    assert fragments.get("list", lambda: "never").text == "after"


def test_nobody_waits_for_one_that_is_being_made(clock: Clock) -> None:
    fragments = Fragments(clock)
    fragments.get("list", lambda: "old")
    clock.now += SECONDS
    began, go_on = Event(), Event()

    def slow() -> str:
        began.set()
        assert go_on.wait(TIMEOUT)
        return "new"

    thread = Thread(target=fragments.get, args=("list", slow))
    thread.start()
    assert began.wait(TIMEOUT)
    assert fragments.get("list", lambda: "made twice").text == "old"
    clock.now += STALE_SECONDS
    assert fragments.get("list", lambda: "made by itself").text == "made by itself"
    go_on.set()
    thread.join(TIMEOUT)


def test_one_that_can_not_be_made_is_made_by_the_next_who_asks(clock: Clock) -> None:
    fragments = Fragments(clock)

    def fails() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        fragments.get("list", fails)
    assert fragments.get("list", lambda: "made").text == "made"


def test_no_more_than_so_many_are_kept(clock: Clock) -> None:
    fragments = Fragments(clock)
    fragments.get("first", lambda: "one")
    for number in range(MANY):
        fragments.get(number, lambda: "x")
    assert fragments.get("first", lambda: "made anew").text == "made anew"
