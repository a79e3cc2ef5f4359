from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Condition, Event, Thread

import pytest

from jobsvc.engines import threads
from jobsvc.engines.threads import ThreadEngine
from jobsvc.runs.signals import Signals
from jobsvc.service.notifier import Notifier
from tests.support.given_jobs import GivenJobs
from tests.support.waiting import TIMEOUT

DONE, PAUSED = "done", "paused"


@dataclass(frozen=True)
class Ticket:
    key: int
    attempt: int = 1


class Work:
    """A queue, and runs that a test holds and ends. `_changed` guards everything."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._queue: deque[Ticket | Exception] = deque()
        self._ends: dict[Ticket, str | BaseException] = {}
        self.begun: list[Ticket] = []
        self.threads: dict[Ticket, Thread] = {}
        self.signals: dict[Ticket, Signals] = {}
        self.left = Notifier()
        """Tells that an attempt has left its slot."""

    def put(self, *entries: Ticket | Exception) -> None:
        with self._changed:
            self._queue.extend(entries)

    def claim(self) -> Ticket | None:
        with self._changed:
            self._changed.notify_all()
            if not self._queue:
                return None
            entry = self._queue.popleft()
        if isinstance(entry, Exception):
            raise entry
        return entry

    def run(self, ticket: Ticket, signals: Signals) -> str:
        with self._changed:
            self.begun.append(ticket)
            self.threads[ticket] = threading.current_thread()
            self.signals[ticket] = signals
            self._changed.notify_all()
            ended = self._changed.wait_for(lambda: ticket in self._ends, TIMEOUT)
            assert ended, f"nobody ended {ticket}"
            end = self._ends[ticket]
        if isinstance(end, BaseException):
            raise end
        return end

    def end(self, ticket: Ticket, outcome: str | BaseException = DONE) -> None:
        with self._changed:
            self._ends[ticket] = outcome
            self._changed.notify_all()

    def wait_begun(self, *tickets: Ticket) -> None:
        with self._changed:
            there = self._changed.wait_for(lambda: set(tickets) <= set(self.begun), TIMEOUT)
        assert there, f"{tickets} have not begun, but {self.begun}"

    def wait_claimed(self) -> None:
        """Wait until the queue is empty."""
        with self._changed:
            assert self._changed.wait_for(lambda: not self._queue, TIMEOUT)

    def end_all(self) -> None:
        with self._changed:
            for ticket in self.begun:
                self._ends.setdefault(ticket, DONE)
            self._changed.notify_all()


Engine = ThreadEngine[Ticket, Signals]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def make_engine(work: Work) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(
        slots: int = 1,
        park_after: float = 300.0,
        due_in: Callable[[], float | None] = lambda: None,
        paused_threads: int | None = None,
    ) -> Engine:
        engine: Engine = ThreadEngine(
            GivenJobs(work.claim, work.run, due_in),
            on_leave=work.left.notify,
            slots=slots,
            park_after=park_after,
            paused_threads=paused_threads,
        )
        engines.append(engine)
        engine.start()
        return engine

    yield make
    for engine in engines:
        engine.begin_shut_down()
        work.end_all()
        assert engine.shut_down(TIMEOUT) == []


def wait_left(engine: Engine, work: Work, ticket: Ticket) -> None:
    """Wait until an attempt has left its slot."""
    while True:
        version = work.left.version()
        with engine._changed:
            if engine._running(ticket.key, ticket.attempt) is None:
                return
        assert work.left.wait(version, TIMEOUT), f"{ticket} did not leave its slot"


def joined(thread: Thread) -> bool:
    thread.join(TIMEOUT)
    return not thread.is_alive()


def test_slots_are_given_out_in_order_and_a_job_waits_for_one(make_engine: Callable[..., Engine], work: Work) -> None:
    tickets = [Ticket(key) for key in range(1, 6)]
    work.put(*tickets)
    engine = make_engine(slots=2)
    work.wait_begun(*tickets[:2])
    assert engine.counts() == {"running": 2, "paused": 0}
    for done, following in zip(tickets, tickets[2:], strict=False):
        assert following not in work.begun
        work.end(done)
        work.wait_begun(following)
    assert [ticket.key for ticket in work.begun[2:]] == [3, 4, 5]
    assert len(set(work.threads.values())) == 5


def test_a_job_that_is_queued_while_a_slot_is_free_runs_when_the_engine_is_told(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    engine = make_engine()
    work.put(Ticket(1))
    engine.wake()
    work.wait_begun(Ticket(1))


def test_a_paused_job_holds_no_slot_and_keeps_its_thread(make_engine: Callable[..., Engine], work: Work) -> None:
    first, second = Ticket(1), Ticket(2)
    work.put(first, second)
    engine = make_engine(slots=1)
    work.wait_begun(first)
    work.end(first, PAUSED)
    work.wait_begun(second)
    assert engine.counts() == {"running": 1, "paused": 1}
    assert work.threads[first].is_alive()
    assert work.threads[first] is not work.threads[second]


def test_a_resumed_job_goes_on_on_the_thread_that_waited_for_it(make_engine: Callable[..., Engine], work: Work) -> None:
    first, again = Ticket(1), Ticket(1, 2)
    work.put(first)
    engine = make_engine()
    work.wait_begun(first)
    work.end(first, PAUSED)
    wait_left(engine, work, first)
    work.put(again)
    engine.wake()
    work.wait_begun(again)
    assert work.threads[again] is work.threads[first]
    assert work.signals[again] is not work.signals[first], "an old stop would reach the new attempt"
    assert engine.counts() == {"running": 1, "paused": 0}


def test_a_paused_thread_is_given_up_after_a_while_and_resume_begins_a_new_one(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, again = Ticket(1), Ticket(1, 2)
    work.put(first)
    engine = make_engine(park_after=0.0)
    work.wait_begun(first)
    work.end(first, PAUSED)
    assert joined(work.threads[first])
    assert engine.counts() == {"running": 0, "paused": 0}
    work.put(again)
    engine.wake()
    work.wait_begun(again)
    assert work.threads[again] is not work.threads[first]


def test_a_paused_job_that_will_not_go_on_is_forgotten(make_engine: Callable[..., Engine], work: Work) -> None:
    first = Ticket(1)
    work.put(first)
    engine = make_engine()
    work.wait_begun(first)
    engine.forget(1)
    assert engine.counts() == {"running": 1, "paused": 0}, "a run under way is not to be forgotten"
    work.end(first, PAUSED)
    wait_left(engine, work, first)
    engine.forget(1)
    assert joined(work.threads[first])
    assert engine.counts() == {"running": 0, "paused": 0}
    engine.forget(1)


def test_a_signal_reaches_the_attempt_it_is_meant_for_and_no_other(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first = Ticket(1, 2)
    work.put(first)
    engine = make_engine()
    work.wait_begun(first)
    assert not engine.signal(1, 1)
    assert not engine.signal(2, 1)
    assert not work.signals[first].stop.is_set()
    assert engine.signal(1, 2)
    assert work.signals[first].stop.is_set()
    assert not work.signals[first].shutting_down


@pytest.mark.parametrize("outcome", [DONE, PAUSED, RuntimeError("broken")])
def test_those_who_wait_are_told_once_an_attempt_has_left_its_slot(
    make_engine: Callable[..., Engine], work: Work, outcome: str | Exception
) -> None:
    first = Ticket(1)
    work.put(first)
    engine = make_engine()
    work.wait_begun(first)
    version = work.left.version()
    assert not work.left.wait(version, 0.0)
    answers: list[bool] = []

    def wait() -> None:
        answers.append(work.left.wait(version, TIMEOUT))
        answers.append(engine.signal(1, 1))
        answers.append(engine.counts()["running"] == 1)

    waiting = Thread(target=wait)
    waiting.start()
    work.end(first, outcome)
    assert joined(waiting)
    assert answers == [True, False, False]
    assert work.left.version() == version + 1


def test_a_signal_waits_for_a_claim_under_way_and_reaches_the_run_that_comes_of_it(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, claimed, go_on = Ticket(1), Event(), Event()
    claim = work.claim

    def held() -> Ticket | None:
        found = claim()
        if found == first:
            claimed.set()
            assert go_on.wait(TIMEOUT)
        return found

    work.claim = held  # type: ignore[method-assign]
    work.put(first)
    engine = make_engine()
    assert claimed.wait(TIMEOUT)
    answers: list[bool] = []
    signalling = Thread(target=lambda: answers.append(engine.signal(1, 1)))
    signalling.start()
    assert answers == []
    go_on.set()
    assert joined(signalling)
    assert answers == [True]
    work.wait_begun(first)
    assert work.signals[first].stop.is_set()


def test_a_transaction_that_asks_waits_for_no_claim_and_reaches_the_run_that_comes_of_it(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, second, claimed, go_on = Ticket(1), Ticket(2), Event(), Event()
    claim = work.claim

    def held() -> Ticket | None:
        found = claim()
        if found == first:
            claimed.set()
            assert go_on.wait(TIMEOUT)
        return found

    work.claim = held  # type: ignore[method-assign]
    work.put(first, second)
    engine = make_engine(slots=2)
    assert claimed.wait(TIMEOUT)

    def ask(ticket: Ticket) -> None:
        with engine.asking() as asking:
            asking.stop(None, ticket, for_good=False)

    asks = [Thread(target=ask, args=(ticket,)) for ticket in (first, Ticket(3))]
    for asker in asks:
        asker.start()
    try:
        assert all(joined(asker) for asker in asks)
    finally:
        go_on.set()
    work.wait_begun(first, second)
    assert work.signals[first].stop.is_set()
    assert not work.signals[second].stop.is_set()


def test_a_claim_that_raises_is_tried_again(
    make_engine: Callable[..., Engine], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.001)
    work.put(OSError("the disk is away"), OSError("still"), Ticket(1))
    make_engine()
    work.wait_begun(Ticket(1))


def test_shutting_down_does_not_wait_for_the_next_try_to_claim(
    make_engine: Callable[..., Engine], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "RETRY_SECONDS", 10 * TIMEOUT)
    work.put(OSError("the disk is away"))
    engine = make_engine()
    work.wait_claimed()
    assert engine.shut_down(TIMEOUT) == []


def test_a_run_that_raises_frees_its_slot(make_engine: Callable[..., Engine], work: Work) -> None:
    first, second = Ticket(1), Ticket(2)
    work.put(first, second)
    engine = make_engine(slots=1)
    work.wait_begun(first)
    work.end(first, RuntimeError("broken"))
    work.wait_begun(second)
    assert joined(work.threads[first])
    assert engine.counts() == {"running": 1, "paused": 0}


def test_shutting_down_tells_every_run_and_leaves_no_thread(make_engine: Callable[..., Engine], work: Work) -> None:
    tickets = [Ticket(key) for key in range(1, 4)]
    work.put(*tickets)
    engine = make_engine(slots=3)
    work.wait_begun(*tickets)
    work.end(tickets[0], PAUSED)
    wait_left(engine, work, tickets[0])
    engine.begin_shut_down()
    assert all(work.signals[ticket].shutting_down for ticket in tickets[1:])
    assert all(work.signals[ticket].stop.is_set() for ticket in tickets[1:])
    work.end_all()
    assert engine.shut_down(TIMEOUT) == []
    assert all(joined(thread) for thread in work.threads.values())
    assert not engine._dispatcher.is_alive()
    work.put(Ticket(9))
    engine.wake()
    assert Ticket(9) not in work.begun


def test_a_thread_that_does_not_end_in_time_is_named(make_engine: Callable[..., Engine], work: Work) -> None:
    work.put(Ticket(1))
    engine = make_engine()
    work.wait_begun(Ticket(1))
    assert engine.shut_down(0.0)[-1:] == ["jobsvc-run-1"]
    work.end_all()
    assert engine.shut_down(TIMEOUT) == []


def test_thousands_of_paused_threads_end_when_the_engine_shuts_down(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    tickets = [Ticket(key) for key in range(1, 1001)]
    for ticket in tickets:
        work.end(ticket, PAUSED)
    work.put(*tickets)
    engine = make_engine(slots=4)
    work.wait_begun(*tickets)
    assert engine.shut_down(TIMEOUT) == []
    assert all(joined(thread) for thread in work.threads.values())


def test_an_attempt_that_waits_for_the_one_before_it_is_told_of_a_shut_down_too(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    """The job was settled and resumed while its old run, which lost it, was still under way."""
    first, again, other = Ticket(1), Ticket(1, 2), Ticket(2)
    work.put(first, again, other)
    engine = make_engine(slots=3)
    # The third is begun after the second was given its slot.
    work.wait_begun(first, other)
    assert again not in work.begun
    engine.begin_shut_down()
    work.end(first)
    work.wait_begun(again)
    assert work.signals[again].shutting_down


def test_two_attempts_of_a_job_never_run_at_once_and_each_takes_a_slot(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, again, other, last = Ticket(1), Ticket(1, 2), Ticket(2), Ticket(3)
    work.put(first, again, other, last)
    make_engine(slots=3)
    work.wait_begun(first, other)
    assert again not in work.begun
    assert last not in work.begun
    work.end(first)
    work.wait_begun(again, last)
    assert work.threads[again] is work.threads[first]


def test_a_signal_reaches_an_attempt_that_waits_for_the_one_before_it_to_leave(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, again, other = Ticket(1), Ticket(1, 2), Ticket(2)
    work.put(first, again, other)
    engine = make_engine(slots=3)
    work.wait_begun(first, other)
    assert engine.signal(1, 2)
    assert not work.signals[first].stop.is_set()
    work.end(first)
    work.wait_begun(again)
    assert work.signals[again].stop.is_set()


def test_while_no_thread_can_be_started_no_job_is_claimed_and_the_first_in_the_queue_comes_first_then(
    make_engine: Callable[..., Engine], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, possible = Event(), Event()

    def start(thread: Thread) -> None:
        tried.set()
        if not possible.is_set():
            raise RuntimeError("can't start new thread")
        thread.start()

    monkeypatch.setattr(threads, "_start", start)
    monkeypatch.setattr(threads, "RETRY_SECONDS", 0.001)
    tickets = [Ticket(key) for key in range(1, 4)]
    work.put(*tickets)
    engine = make_engine(slots=1)
    for _ in range(3):
        tried.clear()
        assert tried.wait(TIMEOUT)
    assert list(work._queue) == tickets, "a job was claimed that could not be run"
    assert engine.counts() == {"running": 0, "paused": 0}
    possible.set()
    for ticket in tickets:
        work.end(ticket)
    work.wait_begun(*tickets)
    assert work.begun == tickets


def test_a_thread_that_was_started_for_a_job_that_never_came_ends_with_the_engine(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    work.put(Ticket(1))
    engine = make_engine(slots=2)
    work.wait_begun(Ticket(1))
    work.end(Ticket(1))
    wait_left(engine, work, Ticket(1))
    engine.wake()
    with engine._changed:
        assert engine._changed.wait_for(lambda: not engine._claiming and not engine._wanted, TIMEOUT)
        assert engine._standby is not None
        standby = engine._standby.thread
    assert engine.shut_down(TIMEOUT) == []
    assert not standby.is_alive()


def test_a_job_that_is_due_later_is_claimed_then_though_nobody_tells(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    asked: list[float | None] = []

    def due_in() -> float | None:
        # What was not due when it was asked for is so at the next claim.
        answer = None if asked else 0.02
        asked.append(answer)
        work.put(*([] if answer is None else [Ticket(1)]))
        return answer

    make_engine(due_in=due_in)
    work.wait_begun(Ticket(1))
    assert asked == [0.02]


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_run_raises_it_leaves_its_slot(
    make_engine: Callable[..., Engine], work: Work, raised: type[BaseException]
) -> None:
    first, second = Ticket(1), Ticket(2)
    work.put(first, second)
    work.end(first, raised())
    engine = make_engine(slots=1)
    work.wait_begun(second)
    assert engine.counts() == {"running": 1, "paused": 0}


def test_the_thread_of_a_run_has_the_usual_stack(make_engine: Callable[..., Engine], work: Work) -> None:
    """A C function that calls itself, as parsers do, is stopped by Python in time only there."""
    found: list[int] = []
    run = work.run

    def measured(ticket: Ticket, signals: Signals) -> str:
        found.append(stack_bytes())
        return run(ticket, signals)

    work.run = measured  # type: ignore[method-assign]
    work.put(Ticket(1))
    make_engine()
    work.wait_begun(Ticket(1))
    plain = Thread(target=lambda: found.append(stack_bytes()))
    plain.start()
    assert joined(plain)
    assert found[0] == found[1] >= 2**20


def stack_bytes() -> int:
    """How large this thread's stack may become."""
    libc = ctypes.CDLL(None)
    attributes = ctypes.create_string_buffer(256)
    address, size = ctypes.c_void_p(), ctypes.c_size_t()
    libc.pthread_self.restype = ctypes.c_ulong
    assert libc.pthread_getattr_np(ctypes.c_ulong(libc.pthread_self()), attributes) == 0
    assert libc.pthread_attr_getstack(attributes, ctypes.byref(address), ctypes.byref(size)) == 0
    libc.pthread_attr_destroy(attributes)
    return size.value
