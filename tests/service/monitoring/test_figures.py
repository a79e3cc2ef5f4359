"""Reading the figures: not too often, by one thread, and never waited for too long."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from threading import enumerate as all_threads
from time import monotonic

import pytest
from sqlalchemy import Connection

from jobsvc.clock import now
from jobsvc.service.monitoring import figures as module
from jobsvc.service.monitoring.figures import DatabaseFigures, Figures
from jobsvc.service.workers import Slots
from tests.support.environment import Environment
from tests.support.waiting import TIMEOUT


class Hanging:
    """What tells of slots, and does not answer before it is let. Implements `service.workers.Workers`."""

    def __init__(self) -> None:
        self.asked, self.let = Event(), Event()
        self.times = 0

    def all(self) -> list[object]:
        return []

    def count(self) -> None:
        return None

    def count_in(self, connection: Connection) -> None:
        return None

    def slots(self, connection: Connection | None) -> Slots:
        self.times += 1
        self.asked.set()
        assert self.let.wait(TIMEOUT)
        return Slots(1, 0)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.let.set()


def of(env: Environment, hanging: Hanging) -> DatabaseFigures:
    return DatabaseFigures(env.database, hanging, now)  # type: ignore[arg-type]


def readers() -> list[Thread]:
    return [thread for thread in all_threads() if thread.name == "jobsvc-figures"]


def test_a_reading_that_hangs_is_not_waited_for_and_is_the_only_one(
    idle: Environment, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    figures = of(idle, hanging)
    for _ in range(5):
        begun = monotonic()
        assert figures.get() is None
        assert monotonic() - begun < 5
    assert hanging.times == 1
    assert len(readers()) == 1
    monkeypatch.setattr(module, "WAIT_SECONDS", TIMEOUT)
    hanging.let.set()
    assert figures.get() is not None


@pytest.mark.parametrize(("shared", "late", "told"), [(False, 60.0, True), (False, 0.0, False), (True, 60.0, False)])
def test_while_a_reading_takes_too_long_a_process_that_is_alone_tells_the_one_before_for_a_while(
    idle: Environment, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, shared: bool, late: float, told: bool
) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", late)
    monkeypatch.setattr(module, "CHEAP_SECONDS", TIMEOUT)
    figures = DatabaseFigures(idle.database, hanging, now, shared=shared)  # type: ignore[arg-type]
    hanging.let.set()
    before = figures.get()
    assert before is not None
    hanging.let.clear()
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    assert figures.get() is (before if told else None)


def test_those_who_ask_at_the_same_time_get_the_same_reading(idle: Environment, hanging: Hanging) -> None:
    figures = of(idle, hanging)
    found: list[Figures | None] = []
    asking = [Thread(target=lambda: found.append(figures.get())) for _ in range(8)]
    for thread in asking:
        thread.start()
    assert hanging.asked.wait(TIMEOUT)
    hanging.let.set()
    for thread in asking:
        thread.join(TIMEOUT)
    assert len(found) == 8
    # Those that came late may have begun another one.
    assert hanging.times <= 8
    assert None not in found


def test_what_took_long_to_read_is_good_for_longer_and_never_for_too_long() -> None:
    def read(took: float) -> float:
        return Figures([], 0, 0, 0, {}, None, None, read_at=100.0, took=took).good_until

    assert read(0.001) == 100
    assert read(0.1) == pytest.approx(102)
    assert read(3) == 100 + module.MAX_AGE_SECONDS


def test_figures_that_are_still_good_are_not_read_again(
    idle: Environment, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging.let.set()
    figures = of(idle, hanging)
    monkeypatch.setattr(module, "CHEAP_SECONDS", 0)
    monkeypatch.setattr(module, "SHARE", 1e-9)
    first = figures.get()
    assert figures.get() is first
    assert hanging.times == 1
    monkeypatch.setattr(module, "SHARE", 1e9)
    assert figures.get() is not first
