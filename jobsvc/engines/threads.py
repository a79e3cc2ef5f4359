"""Runs on threads of this process: one OS thread for each running job."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition, Event, Thread, stack_size
from time import monotonic
from typing import Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

THREAD_STACK_BYTES = 256 * 1024
"""Address space for a run's stack. Little of it is ever touched, and only what is touched takes memory."""


RETRY_SECONDS = 1.0
"""Pause after the database could not be asked for the next job, or no thread could be started."""


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


C = TypeVar("C", bound=Claim)
S = TypeVar("S", bound=RunSignals)


class LiveRun(Generic[C, S]):
    """A thread and the job it runs or, paused, waits for.

    Every field but the events' own state is guarded by the engine's condition.
    """

    def __init__(self, claim: C, signals: S) -> None:
        self.claim: C | None = claim
        """What to run, or what is being run; None while paused."""
        self.key = claim.key
        self.attempt = claim.attempt
        self.signals = signals
        self.next: tuple[C, S] | None = None
        """The attempt to go on with, once this one is over."""
        self.woken = Event()
        """Wakes the thread while it is paused: there is a `next`, or it is to end."""
        self.ending = False
        self.thread: Thread


class ThreadEngine(Generic[C, S]):
    """Gives the slots to queued jobs in order, and keeps the threads of paused jobs for a while.

    `claim` takes the next job from the queue (None: there is none), `run` runs it
    and returns its outcome, `is_paused` tells whether the outcome is a pause,
    `signals` makes what a run looks at, `on_leave` is called whenever an attempt
    has left its slot. `park_after` is in seconds.

    One dispatcher thread alone claims jobs and starts threads. `_changed` guards
    everything below it; it is never held while a job is claimed or run.
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
        name: str = "run",
    ) -> None:
        self._claim, self._run, self._is_paused, self._signals = claim, run, is_paused, signals
        self._on_leave = on_leave
        self._park_after = park_after
        self._name = name
        self._changed = Condition()
        self._free = slots
        self._wanted = True
        self._closing = False
        self._claiming = False
        """Whether the dispatcher may have a claimed job that is not live yet."""
        self._live: dict[int, LiveRun[C, S]] = {}
        self._dispatcher = Thread(target=self._dispatch, name=f"jobsvc-{name}-dispatcher", daemon=True)

    def start(self) -> None:
        self._dispatcher.start()

    def queue(self, connection: object, job: object, *, ahead: bool = False) -> None:
        """Nothing to do in the transaction that queues a job: `wake` follows it."""

    def stop(self, connection: object, job: object) -> None:
        """Nothing to do in the transaction that asks a job to stop: `signal` follows it."""

    def wake(self) -> None:
        """A job was queued: run it as soon as a slot is free."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    def signal(self, key: int, attempt: int) -> bool:
        """Make a run look at its job's row. Returns False if that attempt isn't running here."""
        with self._changed:
            # A job that is just being claimed will be live in a moment.
            self._changed.wait_for(lambda: not self._claiming)
            signals = self._running(key, attempt)
            if signals is not None:
                signals.stop.set()
            return signals is not None

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
            threads = [self._dispatcher, *(live.thread for live in self._live.values())]
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
                self._changed.wait_for(lambda: self._closing or (self._wanted and self._free > 0))
                if self._closing:
                    return
                # Before the claim, so that a job that is queued during it isn't missed.
                self._wanted = False
                self._claiming = True
            try:
                self._claim_and_assign()
            except Exception:
                log.exception("the next job could not be begun; trying again in %s s", RETRY_SECONDS)
                with self._changed:
                    self._wanted = True
                    self._changed.wait_for(lambda: self._closing, RETRY_SECONDS)

    def _claim_and_assign(self) -> None:
        try:
            claim = self._claim()
            assigned = claim is None or self._assign(claim)
        finally:
            with self._changed:
                self._claiming = False
                self._changed.notify_all()
        if claim is not None and not assigned:
            # Without a thread of its own, the run can only hand the job back.
            signals = self._signals()
            signals.shut_down()
            self._run(claim, signals)
            raise RuntimeError(f"no thread for job {claim.key}")

    def _assign(self, claim: C) -> bool:
        """Give a claimed job a slot. Returns False if no thread can be started for it."""
        signals = self._signals()
        with self._changed:
            self._wanted = True
            if self._closing:
                signals.shut_down()
            live = self._live.get(claim.key)
            if live is not None and not live.ending:
                assert live.next is None, "a job is queued again only when its attempt is paused"
                live.next = (claim, signals)
                live.woken.set()
            else:
                live = LiveRun(claim, signals)
                live.thread = Thread(
                    target=self._carry_out, args=(live,), name=f"jobsvc-{self._name}-{claim.key}", daemon=True
                )
                try:
                    _start(live.thread)
                except RuntimeError:
                    return False
                self._live[claim.key] = live
            self._free -= 1
            return True

    def _carry_out(self, live: LiveRun[C, S]) -> None:
        """The life of a run's thread: one attempt after another, with pauses between."""
        while (claim := live.claim) is not None:
            outcome = None
            try:
                outcome = self._run(claim, live.signals)
            except Exception:
                log.exception("the end of job %d could not be recorded", claim.key)
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
    """Start a thread with a small stack."""
    usual = stack_size(THREAD_STACK_BYTES)
    try:
        thread.start()
    finally:
        stack_size(usual)
