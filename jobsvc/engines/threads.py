"""Runs on threads of this process: one OS thread for each running job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Condition, Event, Thread
from time import monotonic
from typing import Generic, Protocol, TypeVar

from jobsvc import deadlines

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause after the database could not be asked for the next job, or no thread could be started."""


class NoThread(Exception):
    """The system allows no further thread now."""


class Claim(Protocol):
    """A job that was taken from the queue for one attempt."""

    @property
    def key(self) -> int: ...
    @property
    def attempt(self) -> int: ...


class RunSignals(Protocol):
    """What a run looks at before every item."""

    stop: Event

    def shut_down(self) -> None: ...

    def begin_asking(self) -> None: ...

    def end_asking(self) -> None: ...


C = TypeVar("C", bound=Claim)
S = TypeVar("S", bound=RunSignals)


class LiveRun(Generic[C, S]):
    """A thread and the job it runs or, paused, waits for.

    Every field but the events' own state is guarded by the engine's condition.
    """

    def __init__(self, claim: C, signals: S, thread: Thread) -> None:
        self.claim: C | None = claim
        """What to run, or what is being run; None while paused."""
        self.key = claim.key
        self.attempt = claim.attempt
        self.signals = signals
        self.thread = thread
        self.next: tuple[C, S] | None = None
        """The attempt to go on with, once this one is over."""
        self.woken = Event()
        """Wakes the thread while it is paused: there is a `next`, or it is to end."""
        self.ending = False


class Standby(Generic[C, S]):
    """A thread that was started before there is a job for it. Its fields are guarded by the engine's condition."""

    def __init__(self, carry_out: Callable[[LiveRun[C, S]], None], name: str) -> None:
        self._carry_out = carry_out
        self._called = Event()
        self._run: LiveRun[C, S] | None = None
        self.thread = Thread(target=self._live, name=f"{name}-standby", daemon=True)

    def give(self, run: LiveRun[C, S], name: str) -> None:
        """What to do: once, and before it is dismissed."""
        self._run = run
        self.thread.name = name
        self._called.set()

    def dismiss(self) -> None:
        """There will be nothing to do."""
        self._called.set()

    def _live(self) -> None:
        self._called.wait()
        if self._run is not None:
            self._carry_out(self._run)


class ThreadEngine(Generic[C, S]):
    """Gives the slots to queued jobs in order, and keeps the threads of paused jobs for a while.

    `claim` takes the next job from the queue (None: there is none, or not before
    `due_in` says; in seconds, None: until the engine is told), `run` runs it
    and returns its outcome, `is_paused` tells whether the outcome is a pause,
    `signals` makes what a run looks at, `on_leave` is called whenever an attempt
    has left its slot. `park_after` is in seconds.

    One dispatcher thread alone claims jobs and starts threads: the thread first,
    so that no job is claimed that could not be run. `_changed` guards everything
    below it; it is never held while a job is claimed or run.
    """

    def __init__(
        self,
        *,
        claim: Callable[[], C | None],
        run: Callable[[C, S], object],
        is_paused: Callable[[object], bool],
        signals: Callable[[], S],
        on_leave: Callable[[], None],
        slots: int,
        park_after: float,
        due_in: Callable[[], float | None] = lambda: None,
        name: str = "run",
    ) -> None:
        self._due_in = due_in
        self._claim, self._run, self._is_paused, self._signals = claim, run, is_paused, signals
        self._on_leave = on_leave
        self._park_after = park_after
        self._name = name
        self._changed = Condition()
        self._free = slots
        self._wanted = True
        self._due: float | None = None
        """When there may be something to claim though nobody tells; on the monotonic clock."""
        self._closing = False
        self._claiming = False
        """Whether the dispatcher may have a claimed job that is not live yet."""
        self._live: dict[int, LiveRun[C, S]] = {}
        self._then: Callable[[], None] | None = None
        """Who is to be told when the next attempt has left, or is live."""
        self._standby: Standby[C, S] | None = None
        """The thread for the next job that has none of its own."""
        self._dispatcher = Thread(target=self._dispatch, name=f"jobsvc-{name}-dispatcher", daemon=True)

    def start(self) -> None:
        self._dispatcher.start()

    def queue(self, connection: object, job: object, *, ahead: bool = False, after: float = 0.0) -> None:
        """Nothing to do in the transaction that queues a job: `wake` follows it."""

    def stop(self, connection: object, job: object) -> None:
        """Nothing to do in the transaction that asks a job to stop: `signal` follows it."""

    def wake(self) -> None:
        """A job was queued: run it as soon as a slot is free."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def signal(self, key: int, attempt: int) -> bool:
        """Make a run look at its job's row. Returns False if that attempt isn't running here.

        While a job is being claimed for longer than the caller's patience, it may be
        this one: then its run sees what is asked of it at its first checkpoint.
        """
        with self._changed:
            # A job that is just being claimed will be live in a moment.
            if not self._changed.wait_for(lambda: not self._claiming, deadlines.left()):
                return True
            signals = self._running(key, attempt)
            if signals is not None:
                signals.stop.set()
            return signals is not None

    def under_way(self, then: Callable[[], None]) -> Collection[int] | None:
        """The keys of the jobs that have an attempt here; None while one is being claimed, whose key is not known yet.

        For a caller that wants to begin something else with such a job: `then`, which
        must return at once, is called once when that has changed. Never waits.
        """
        with self._changed:
            keys = {key for key, live in self._live.items() if live.claim is not None or live.next is not None}
            if keys or self._claiming:
                self._then = then
            return None if self._claiming else keys

    def _tell_then(self) -> None:
        with self._changed:
            then, self._then = self._then, None
        if then is not None:
            then()

    @contextmanager
    def held(self, key: int, attempt: int) -> Iterator[None]:
        """While something is being asked of a job: its run, if it is here, takes no further item, and waits for it."""
        with self._changed:
            signals = self._running(key, attempt)
        if signals is None:
            yield
            return
        signals.begin_asking()
        try:
            yield
        finally:
            signals.end_asking()

    def forget(self, key: int) -> None:
        """A paused job will not go on: end its thread."""
        with self._changed:
            live = self._live.get(key)
            if live is not None and live.claim is None and live.next is None:
                live.ending = True
                live.woken.set()

    def begin_shut_down(self) -> None:
        """Give out no more jobs, and make all runs commit and leave. Returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._standby is not None and not self._claiming:
                self._standby.dismiss()
            for live in self._live.values():
                live.signals.shut_down()
                if live.next is not None:
                    live.next[1].shut_down()
                live.ending = True
                live.woken.set()

    def shut_down(self, seconds: float) -> list[str]:
        """Begin to shut down, and wait up to `seconds` for the threads to end.

        Returns the names of threads that have not ended in that time. May be
        called more than once.
        """
        deadline = monotonic() + seconds
        self.begin_shut_down()
        if self._dispatcher.ident is not None:
            self._dispatcher.join(max(0.0, deadline - monotonic()))
        with self._changed:
            standby = [] if self._standby is None else [self._standby.thread]
            threads = [self._dispatcher, *standby, *(live.thread for live in self._live.values())]
        for thread in threads[1:]:
            thread.join(max(0.0, deadline - monotonic()))
        left = [thread.name for thread in threads if thread.is_alive()]
        if left:
            log.warning("still running at the end of the time for shutting down: %s", ", ".join(left))
        return left

    def counts(self) -> dict[str, int]:
        """How many jobs run here, and how many threads wait paused."""
        with self._changed:
            running = sum(live.claim is not None for live in self._live.values())
            return {"running": running, "paused": len(self._live) - running}

    def _running(self, key: int, attempt: int) -> S | None:
        """The signals of an attempt that has not left its slot. The caller holds `_changed`."""
        live = self._live.get(key)
        if live is None:
            return None
        if live.next is not None and live.next[0].attempt == attempt:
            # It waits for the attempt before it to leave, and will look before its first item.
            return live.next[1]
        return live.signals if live.attempt == attempt and live.claim is not None else None

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                while not (self._closing or (self._wanted and self._free > 0)):
                    self._wait()
                if self._closing:
                    return
            try:
                self._begin_next()
                continue
            except NoThread as error:
                log.warning("no thread for the next job, which waits: %s; trying again in %s s", error, RETRY_SECONDS)
            except Exception:
                log.exception("the next job could not be begun; trying again in %s s", RETRY_SECONDS)
            with self._changed:
                self._wanted = True
                self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _wait(self) -> None:
        """Wait until something changes, or is due. The caller holds `_changed`."""
        left = None if self._due is None else self._due - monotonic()
        if left is None or left > 0:
            self._changed.wait(left)
        else:
            self._wanted, self._due = True, None

    def _begin_next(self) -> None:
        """Claim a job and give it a slot. Raises NoThread, with nothing claimed."""
        self._stand_by()
        with self._changed:
            if self._closing:
                return
            # Before the claim, so that a job that is queued during it isn't missed.
            self._wanted, self._due = False, None
            self._claiming = True
        claim = None
        try:
            claim = self._claim()
        finally:
            with self._changed:
                if claim is not None:
                    self._assign(claim)
                elif (due_in := self._due_in()) is not None:
                    self._due = monotonic() + due_in
                if claim is None and self._closing and self._standby is not None:
                    self._standby.dismiss()
                self._claiming = False
                self._changed.notify_all()
            self._tell_then()

    def _stand_by(self) -> None:
        """Have a thread that waits for a job."""
        if self._standby is None:
            standby = Standby(self._carry_out, f"jobsvc-{self._name}")
            try:
                _start(standby.thread)
            except RuntimeError as error:
                raise NoThread(error) from error
            with self._changed:
                self._standby = standby
                if self._closing:
                    standby.dismiss()

    def _assign(self, claim: C) -> None:
        """Give a claimed job a slot, and a thread: its own if it has one. The caller holds `_changed`."""
        signals = self._signals()
        self._wanted = True
        self._free -= 1
        if self._closing:
            signals.shut_down()
        live = self._live.get(claim.key)
        if live is not None and not live.ending:
            assert live.next is None, "a job is queued again only when its attempt is paused"
            live.next = (claim, signals)
            live.woken.set()
            return
        standby, self._standby = self._standby, None
        assert standby is not None
        self._live[claim.key] = live = LiveRun(claim, signals, standby.thread)
        standby.give(live, f"jobsvc-{self._name}-{claim.key}")

    def _carry_out(self, live: LiveRun[C, S]) -> None:
        """The life of a run's thread: one attempt after another, with pauses between."""
        while (claim := live.claim) is not None:
            outcome = None
            try:
                outcome = self._run(claim, live.signals)
            except BaseException:
                # Also what would end the thread without a word, such as a SystemExit.
                log.exception("the end of job %d could not be recorded", claim.key)
            finally:
                self._leave_slot(live, paused=self._is_paused(outcome))
            if live.claim is None and not live.ending:
                live.woken.wait(self._park_after)
                self._go_on_or_end(live)

    def _leave_slot(self, live: LiveRun[C, S], paused: bool) -> None:
        with self._changed:
            self._free += 1
            self._wanted = True
            self._changed.notify_all()
            live.claim = None
            if not paused or live.ending or live.next is not None:
                self._settle(live)
        self._on_leave()
        self._tell_then()

    def _go_on_or_end(self, live: LiveRun[C, S]) -> None:
        with self._changed:
            self._settle(live)

    def _settle(self, live: LiveRun[C, S]) -> None:
        """Go on with the next attempt if there is one; otherwise the thread ends. The caller holds `_changed`."""
        if live.next is not None:
            (live.claim, live.signals), live.next = live.next, None
            live.attempt = live.claim.attempt
            live.woken.clear()
            return
        live.ending = True
        if self._live.get(live.key) is live:
            del self._live[live.key]


def _start(thread: Thread) -> None:
    """Raises RuntimeError."""
    thread.start()
