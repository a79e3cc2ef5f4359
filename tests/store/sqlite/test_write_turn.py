from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

import pytest

from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.sqlite import write_turn
from jobsvc.store.sqlite.write_turn import WriteTurn
from tests.support.waiting import TIMEOUT


def yes() -> bool:
    return True


def no() -> bool:
    return False


class Queue:
    """Threads that want the turn, one behind the other, and the order in which they got it."""

    def __init__(self, turn: WriteTurn) -> None:
        self._turn = turn
        self._threads: list[Thread] = []
        self.order: list[str] = []

    def join(self, name: str, *, urgent: Callable[[], bool] = no) -> None:
        """Start a thread that wants the turn, and wait until it stands in the queue."""
        waiting = self._turn._waiting
        before, queued = len(waiting), Event()

        class Watched(type(waiting)):  # type: ignore[misc]
            def append(self, waiter: object) -> None:
                super().append(waiter)
                queued.set()

        watched = Watched(waiting)
        self._turn._waiting = watched

        def want() -> None:
            with self._turn.held(urgent):
                self.order.append(name)

        self._threads.append(Thread(target=want))
        self._threads[-1].start()
        assert queued.wait(TIMEOUT)
        assert len(watched) == before + 1

    def finish(self) -> list[str]:
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
        return self.order


def test_who_comes_first_is_served_first() -> None:
    turn = WriteTurn()
    queue = Queue(turn)
    names = [str(number) for number in range(10)]
    with turn.held():
        for name in names:
            queue.join(name)
    assert queue.finish() == names


def test_the_urgent_go_ahead_of_the_others_and_in_order_among_themselves() -> None:
    turn = WriteTurn()
    queue = Queue(turn)
    with turn.held():
        queue.join("a")
        queue.join("B", urgent=yes)
        queue.join("c")
        queue.join("D", urgent=yes)
    assert queue.finish() == ["B", "D", "a", "c"]


def test_nobody_gets_the_turn_while_another_has_it() -> None:
    turn = WriteTurn()
    inside, most, rounds = 0, 0, 200

    def write(urgent: Callable[[], bool]) -> None:
        nonlocal inside, most
        for _ in range(rounds):
            with turn.held(urgent):
                inside += 1
                most = max(most, inside)
                # Other threads run here if nothing keeps them out.
                Event().wait(0)
                inside -= 1

    threads = [Thread(target=write, args=((no, yes)[number % 2],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    assert most == 1
    assert not turn._taken


@pytest.mark.parametrize("urgent", [yes, no])
def test_the_turn_is_passed_on_when_the_one_who_has_it_fails(urgent: Callable[[], bool]) -> None:
    turn = WriteTurn()
    queue = Queue(turn)

    def fail() -> None:
        with turn.held(urgent):
            queue.join("next")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert queue.finish() == ["next"]
    with turn.held():
        pass


def test_one_who_comes_to_be_in_a_hurry_while_waiting_goes_ahead() -> None:
    turn = WriteTurn()
    queue = Queue(turn)
    hurried = Event()
    with turn.held():
        queue.join("a")
        queue.join("b", urgent=hurried.is_set)
        queue.join("c")
        hurried.set()
    assert queue.finish() == ["b", "a", "c"]


@pytest.mark.parametrize("handed_over", [False, True])
def test_one_whose_waiting_is_broken_off_does_not_keep_the_turn(
    handed_over: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, held = WriteTurn(), Event()

    class Interrupted:
        """A lock whose second acquire a signal handler breaks off: before the turn comes, or just after."""

        def __init__(self) -> None:
            self.acquired = 0

        def acquire(self, timeout: float = -1) -> None:
            self.acquired += 1
            if self.acquired == 2:
                if handed_over:
                    turn._pass_on()
                raise KeyboardInterrupt

        def release(self) -> None: ...

    turn._take(no)
    monkeypatch.setattr(write_turn._Waiter, "__init__", lambda self, urgent: _waiter(self, urgent, Interrupted()))
    with pytest.raises(KeyboardInterrupt):
        turn._take(no)
    monkeypatch.undo()
    if not handed_over:
        turn._pass_on()

    def want() -> None:
        with turn.held():
            held.set()

    Thread(target=want, daemon=True).start()
    assert held.wait(TIMEOUT)


def test_one_who_has_waited_long_enough_leaves_the_queue_and_the_turn_goes_to_the_next() -> None:
    turn = WriteTurn()
    queue = Queue(turn)
    with turn.held():
        with pytest.raises(DatabaseBusy), turn.held(within=0.01):
            pass
        assert not turn.is_wanted
        queue.join("next")
    assert queue.finish() == ["next"]
    assert not turn._taken


def test_a_turn_that_comes_just_when_the_one_who_waited_gives_up_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = WriteTurn()
    queue = Queue(turn)

    class TooLate:
        """A lock that is let go at the moment after which nobody waits for it any more."""

        def acquire(self, timeout: float = -1) -> bool:
            if timeout > 0:
                turn._pass_on()
            return timeout < 0

        def release(self) -> None: ...

    turn._take(no)
    with monkeypatch.context() as patch:
        patch.setattr(write_turn._Waiter, "__init__", lambda self, urgent: _waiter(self, urgent, TooLate()))
        with pytest.raises(DatabaseBusy):
            turn._take(no, 0.01)
    assert not turn._taken
    with turn.held():
        queue.join("next")
    assert queue.finish() == ["next"]


def _waiter(waiter: object, urgent: Callable[[], bool], lock: object) -> None:
    object.__setattr__(waiter, "urgent", urgent)
    object.__setattr__(waiter, "lock", lock)
    lock.acquire()  # type: ignore[attr-defined]
