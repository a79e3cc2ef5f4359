"""What the threads' engine does around a transaction that asks something of a job."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore

import pytest

from jobsvc.engines.threads import ThreadEngine
from jobsvc.identifiers import Priority
from jobsvc.runs.signals import Signals
from tests.support.given_jobs import GivenJobs
from tests.support.waiting import TIMEOUT


@dataclass(frozen=True)
class Ticket:
    key: int
    attempt: int = 1
    priority: Priority = Priority.NORMAL


class AnswerLost(Exception):
    """A transaction that may have been committed."""


class Desk:
    """A queue of tickets; each run of one waits to be stopped, and is paused then."""

    def __init__(self) -> None:
        self.queue: deque[Ticket] = deque()
        self.claims, self.left = Semaphore(0), Semaphore(0)
        self.claiming, self.may_claim = Event(), Event()
        self.may_claim.set()
        self.begun: SimpleQueue[Signals] = SimpleQueue()
        self.engine: ThreadEngine[Ticket, Signals] = ThreadEngine(
            GivenJobs(self.claim, self.run), on_leave=self.left.release, slots=2, park_after=10 * TIMEOUT
        )

    def claim(self) -> Ticket | None:
        self.claiming.set()
        assert self.may_claim.wait(TIMEOUT)
        self.claims.release()
        return self.queue.popleft() if self.queue else None

    def run(self, ticket: Ticket, signals: Signals) -> str:
        self.begun.put(signals)
        assert signals.stop.wait(TIMEOUT)
        signals.acknowledge()
        return "paused"

    def begin(self, ticket: Ticket) -> Signals:
        self.queue.append(ticket)
        self.engine.wake()
        return self.begun.get(timeout=TIMEOUT)

    def idle(self) -> None:
        """Wait until the dispatcher has found nothing, and forget how often it has looked."""
        with self.engine._changed:
            assert self.engine._changed.wait_for(lambda: not self.engine._claiming and not self.engine._wanted, TIMEOUT)
        while self.claims.acquire(blocking=False):
            pass


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    desk.engine.start()
    yield desk
    desk.may_claim.set()
    assert desk.engine.shut_down(TIMEOUT) == []


@pytest.mark.parametrize("lost", [False, True])
def test_the_slots_are_given_out_after_the_transaction_also_if_its_answer_is_lost(desk: Desk, lost: bool) -> None:
    desk.idle()
    with suppress(AnswerLost), desk.engine.asking() as asking:
        asking.queue(None, Ticket(1))
        assert not desk.claims.acquire(timeout=0.05)
        desk.queue.append(Ticket(1))
        if lost:
            raise AnswerLost
    assert desk.begun.get(timeout=TIMEOUT) is not None


def test_where_nothing_is_queued_nobody_looks(desk: Desk) -> None:
    desk.idle()
    with desk.engine.asking():
        pass
    with desk.engine._changed:
        assert not desk.engine._wanted
    assert not desk.claims.acquire(blocking=False)


def test_a_run_takes_no_item_from_before_the_transaction_until_after_it(desk: Desk) -> None:
    signals = desk.begin(Ticket(1))
    with desk.engine.asking(Ticket(1)) as asking:
        assert signals.stop.is_set()
        asking.stop(None, Ticket(1), for_good=False)
        assert not desk.left.acquire(timeout=0.05), "the run did not wait for what is being asked"
    assert desk.left.acquire(timeout=TIMEOUT)


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_is_being_claimed_meanwhile_is_told(desk: Desk, lost: bool) -> None:
    desk.idle()
    desk.claiming.clear()
    desk.may_claim.clear()
    desk.queue.append(Ticket(1))
    desk.engine.wake()
    assert desk.claiming.wait(TIMEOUT)
    with suppress(AnswerLost), desk.engine.asking(Ticket(1)) as asking:
        asking.stop(None, Ticket(1), for_good=False)
        desk.may_claim.set()
        if lost:
            raise AnswerLost
    assert desk.left.acquire(timeout=TIMEOUT)


@pytest.mark.parametrize(("for_good", "kept"), [(False, 1), (True, 0)])
def test_the_thread_of_a_paused_job_is_kept_unless_the_job_goes_for_good(desk: Desk, for_good: bool, kept: int) -> None:
    signals = desk.begin(Ticket(1))
    signals.stop.set()
    assert desk.left.acquire(timeout=TIMEOUT)
    [live] = desk.engine._live.values()
    with desk.engine.asking() as asking:
        asking.stop(None, Ticket(1), for_good=for_good)
    assert live.ending is for_good
    if for_good:
        live.thread.join(TIMEOUT)
    assert desk.engine.counts() == {"running": 0, "paused": kept}
