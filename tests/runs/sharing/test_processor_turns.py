"""Runs that prepare their batches take turns; one that is to stop waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs.sharing.processor_turns import ProcessorTurns
from jobsvc.runs.signals import AbortableEvent, StopEvent
from jobsvc.service.new_job import NewJob
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT, poll


class Crowd:
    """Threads that want their turn, and keep it until they are told to end."""

    def __init__(self) -> None:
        self.turns = ProcessorTurns()
        self.inside: list[str] = []
        self._ends: dict[str, Event] = {}
        self._threads: list[Thread] = []

    def come(self, name: str, stop: StopEvent | None = None, *, waits: bool) -> None:
        """A run comes; returns when it is inside, or waits in the queue."""
        self._ends[name] = Event()
        before = len(self.turns._waiting)
        self._threads.append(Thread(target=self._compute, args=(name, stop or StopEvent()), daemon=True))
        self._threads[-1].start()
        if waits:
            poll(lambda: len(self.turns._waiting) == before + 1, TIMEOUT, f"{name} to wait")
        else:
            self.wait_inside(name)

    def wait_inside(self, name: str) -> None:
        poll(lambda: name in self.inside, TIMEOUT, f"{name} to be inside")

    def end(self, name: str) -> None:
        self._ends[name].set()
        poll(lambda: name not in self.inside, TIMEOUT, f"{name} to leave")

    def join(self) -> None:
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()

    def _compute(self, name: str, stop: StopEvent) -> None:
        with self.turns.turn(stop):
            self.inside.append(name)
            assert self._ends[name].wait(TIMEOUT)
            self.inside.remove(name)


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.join()


def test_one_computes_at_a_time_and_whoever_came_first_is_next(crowd: Crowd) -> None:
    crowd.come("a", waits=False)
    for name in "bcd":
        crowd.come(name, waits=True)
    for name, after in ("ab", "bc", "cd"):
        assert crowd.inside == [name]
        crowd.end(name)
        crowd.wait_inside(after)
    crowd.end("d")
    crowd.come("e", waits=False)


def test_a_turn_ends_with_an_error(crowd: Crowd) -> None:
    with pytest.raises(OSError, match="no such disk"), crowd.turns.turn(StopEvent()):
        raise OSError("no such disk")
    crowd.come("a", waits=False)


def test_one_that_is_to_stop_waits_no_longer_and_leaves_the_turn_to_whose_it_is(crowd: Crowd) -> None:
    stop = StopEvent()
    crowd.come("a", waits=False)
    crowd.come("b", stop, waits=True)
    crowd.come("c", waits=True)
    stop.set()
    crowd.wait_inside("b")
    crowd.end("b")
    assert crowd.inside == ["a"]
    crowd.end("a")
    crowd.wait_inside("c")


def test_one_that_was_to_stop_already_does_not_wait(crowd: Crowd) -> None:
    stop = StopEvent()
    stop.set()
    crowd.come("a", waits=False)
    crowd.come("b", stop, waits=False)


def test_one_that_is_aborted_through_the_queue_waits_no_longer(crowd: Crowd) -> None:
    aborted: list[bool] = []
    crowd.come("a", waits=False)
    crowd.come("b", AbortableEvent(lambda: bool(aborted)), waits=True)
    aborted.append(True)
    crowd.wait_inside("b")


def test_one_that_fails_while_it_waits_leaves_the_queue(crowd: Crowd) -> None:
    class Broken(StopEvent):
        """Fails when it is looked at again."""

        looks = 0

        def is_set(self) -> bool:
            self.looks += 1
            if self.looks > 1:
                raise OSError("no such memory")
            return False

    broken = Broken()
    crowd.come("a", waits=False)
    failed: list[BaseException] = []

    def fail() -> None:
        try:
            with crowd.turns.turn(broken):
                pass
        except OSError as error:
            failed.append(error)

    thread = Thread(target=fail)
    thread.start()
    poll(lambda: len(crowd.turns._waiting) == 1, TIMEOUT, "it to wait")
    broken.set()
    thread.join(TIMEOUT)
    assert len(failed) == 1
    crowd.end("a")
    crowd.come("b", waits=False)


def test_a_turn_that_is_passed_on_to_one_that_has_just_been_stopped_goes_on(crowd: Crowd) -> None:
    """It leaves the queue either way, and nobody is forgotten."""
    for _ in range(50):
        stop = StopEvent()
        crowd.come("a", waits=False)
        crowd.come("b", stop, waits=True)
        crowd.come("c", waits=True)
        stopping = Thread(target=stop.set)
        stopping.start()
        for name in "abc":
            crowd.wait_inside(name)
            crowd.end(name)
        stopping.join(TIMEOUT)


@pytest.fixture
def waiting(env: Environment) -> Iterator[Job]:
    """A run that waits for its turn, with another job's in its way."""
    with ExitStack() as held:
        held.enter_context(env.runner._turns.turn(StopEvent()))
        job_id = env.service.new_id(WHO, "baselineCSV")
        env.files.input(job_id).write_text("date,n\n" + "2026-01-01,1\n" * 5000)
        job = env.service.submit(NewJob(id=job_id, kind="baselineCSV", user=WHO, params={}))
        poll(lambda: len(env.runner._turns._waiting) == 1, TIMEOUT, "the run to wait for its turn")
        yield job


def test_a_run_that_waits_for_its_turn_is_paused_at_once(env: Environment, waiting: Job) -> None:
    env.service.pause(waiting.id, WHO, TIMEOUT)
    assert env.job(waiting).state is State.PAUSED
    assert env.job(waiting).done <= 1


def test_a_run_that_waits_for_its_turn_leaves_when_the_service_ends(env: Environment, waiting: Job) -> None:
    env.begin_shut_down()
    assert env.wait_for(waiting, State.INTERRUPTED).done <= 1
