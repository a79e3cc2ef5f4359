"""Runs on threads of this process: who gets a slot and when, and who is told of what is asked.

What a run's own thread does is in `live_run.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from time import monotonic
from typing import Generic, Protocol

from jobsvc import deadlines
from jobsvc.engines.live_run import Attempt, C, Claim, LiveRun, S, Standby, live_on
from jobsvc.engines.notes import Notes
from jobsvc.engines.paused_threads import PausedThreads
from jobsvc.identifiers import JobKey

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""The pause after the database did not answer, or no thread could be started."""


class NoThread(Exception):
    """The system allows no further thread now."""


class Jobs(Protocol[C, S]):
    """What the slots are for: runs, or rollbacks. `run` is called on many threads, the rest on one."""

    def claim(self) -> C | None:
        """Take the next job from the queue; None: there is none, or not before `due_in` says."""

    def due_in(self) -> float | None:
        """Seconds from the latest `claim`, if it found nothing, until it may find something; None: when it is told."""

    def new_signals(self) -> S:
        """What a run looks at."""

    def run(self, claim: C, signals: S) -> str | None:
        """Run a job to the end of the attempt; returns the state that it has left the job in."""


class ThreadEngine(Generic[C, S]):
    """Gives the slots to queued jobs in order, and keeps the threads of paused jobs for a while.

    `on_leave` is called whenever an attempt has left its slot. A paused thread is kept for `park_after` seconds, as
    long as there are at most `paused_threads` of them (None: any number); then it ends, and a resume begins another.

    One dispatcher thread alone claims jobs and starts threads: the thread first,
    so that no job is claimed that could not be run. `_changed` guards everything
    below it; it is never held while a job is claimed or run. `due_in` and `new_signals` are called with it held.
    """

    tells_ahead = True

    def __init__(
        self,
        jobs: Jobs[C, S],
        *,
        on_leave: Callable[[], None],
        slots: int,
        park_after: float,
        paused_threads: int | None = None,
        name: str = "run",
    ) -> None:
        self._jobs = jobs
        self._on_leave = on_leave
        self._park_after = park_after
        self._name = name
        self._changed = Condition()
        self._free = slots
        self._wanted = True
        self._wanted_at_once = False
        """Whether a job was queued that may take the slot of another, and nobody has looked since."""
        self.make_way: Callable[[Notes], object] = _nothing
        """Have jobs give way to one that may take their slots, in a transaction, and note whom to tell. To be set
        before `start`; called on the dispatcher's thread when no slot is free."""
        self._due: float | None = None
        """When to look for something to claim even if nobody tells of it; on the monotonic clock."""
        self._closing = False
        self._claiming = False
        """Whether the dispatcher may have a claimed job that is not live yet."""
        self._stopped_meanwhile: set[tuple[JobKey, int]] = set()
        """Attempts that were to stop while a job was being claimed: one of them may be its."""
        self._live: dict[JobKey, LiveRun[C, S]] = {}
        self._paused: PausedThreads[C, S] = PausedThreads(paused_threads)
        self._then: Callable[[], None] | None = None
        """To be called when the next attempt has left, or is live."""
        self._standby: Standby[C, S] | None = None
        """The thread for the next job that has none of its own."""
        self._dispatcher = Thread(target=self._dispatch, name=f"jobsvc-{name}-dispatcher", daemon=True)

    def start(self) -> None:
        self._dispatcher.start()

    @contextmanager
    def asking(self, running: Claim | None = None) -> Iterator[Notes]:
        """Around a transaction that asks: see `jobs/stopping.py`. The run of `running`, if it is here, waits for it."""
        notes = Notes()
        with self._changed:
            signals = None if running is None else self._running(running.key, running.attempt)
        if signals is not None:
            signals.begin_asking()
        try:
            yield notes
        finally:
            # Also where the transaction failed: it may have been committed, and only its answer was lost.
            if signals is not None:
                signals.end_asking()
            self._tell(notes)

    def _tell(self, notes: Notes) -> None:
        """What a transaction has left to do. It waits for nobody: a claim may take as long as the database does."""
        for stopped in notes.stopped:
            with self._changed:
                signals = self._running(stopped.key, stopped.attempt)
                if signals is not None:
                    signals.stop.set()
                elif self._claiming:
                    self._stopped_meanwhile.add((stopped.key, stopped.attempt))
            if stopped.for_good:
                self.forget(stopped.key)
        if notes.queued:
            self.wake(at_once=notes.urgent)

    def wake(self, *, at_once: bool = False) -> None:
        """A job was queued: run it as soon as a slot is free; `at_once`: it may take that of another."""
        with self._changed:
            self._wanted = True
            self._wanted_at_once |= at_once
            self._changed.notify_all()

    def signal(self, key: JobKey, attempt: int) -> bool:
        """Make a run look at its job's row. Returns False if that attempt isn't running here.

        While a job is being claimed for longer than the caller can wait, it may be
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

    def under_way(self, then: Callable[[], None]) -> Collection[JobKey] | None:
        """The keys of the jobs that have an attempt here; None while one is being claimed, whose key is not known yet.

        For a caller that wants to begin something else with such a job: `then`, which
        must return at once, is called once when that has changed. Never waits.
        """
        with self._changed:
            keys = {key for key, live in self._live.items() if live.is_under_way}
            if keys or self._claiming:
                self._then = then
            return None if self._claiming else keys

    def _tell_then(self) -> None:
        with self._changed:
            then, self._then = self._then, None
        if then is not None:
            then()

    def forget(self, key: JobKey) -> None:
        """A paused job will not go on: end its thread."""
        with self._changed:
            live = self._live.get(key)
            if live is not None and not live.is_under_way:
                live.end()

    def begin_shut_down(self) -> None:
        """Give out no more jobs, and make all runs commit and leave. Returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            if self._standby is not None and not self._claiming:
                self._standby.dismiss()
            for live in self._live.values():
                live.shut_down()

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
            return {"running": running, "paused": len(self._paused)}

    def _running(self, key: JobKey, attempt: int) -> S | None:
        """The signals of an attempt that has not left its slot. The caller holds `_changed`."""
        live = self._live.get(key)
        return None if live is None else live.signals_of(attempt)

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                while not (self._closing or (self._wanted and self._free > 0) or self._wanted_at_once):
                    self._wait()
                if self._closing:
                    return
                is_full = self._free == 0
                self._wanted_at_once &= not is_full
            try:
                if is_full:
                    with self.asking() as notes:
                        self.make_way(notes)
                else:
                    self._begin_next()
                continue
            except NoThread as error:
                log.warning("no thread for the next job, which waits: %s; trying again in %s s", error, RETRY_SECONDS)
            except Exception:
                log.exception("the next job could not be begun; trying again in %s s", RETRY_SECONDS)
            with self._changed:
                self._wanted = self._wanted_at_once = True
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
            at_once, self._wanted_at_once = self._wanted_at_once, False
            self._claiming = True
        claim = None
        try:
            claim = self._jobs.claim()
        finally:
            with self._changed:
                if claim is not None:
                    self._assign(claim)
                    self._wanted_at_once |= at_once
                elif (due_in := self._jobs.due_in()) is not None:
                    self._due = monotonic() + due_in
                if claim is None and self._closing and self._standby is not None:
                    self._standby.dismiss()
                self._claiming = False
                self._stopped_meanwhile.clear()
                self._changed.notify_all()
            self._tell_then()

    def _stand_by(self) -> None:
        """Have a thread that waits for a job."""
        if self._standby is None:
            standby = Standby(self._live_on, f"jobsvc-{self._name}")
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
        attempt = Attempt(claim, self._jobs.new_signals())
        self._wanted = True
        self._free -= 1
        if self._closing:
            attempt.signals.shut_down()
        if (claim.key, claim.attempt) in self._stopped_meanwhile:
            attempt.signals.stop.set()
        live = self._live.get(claim.key)
        if live is not None and not live.ending:
            self._paused.let_go(live)
            live.go_on_with(attempt)
            return
        standby, self._standby = self._standby, None
        assert standby is not None
        self._live[claim.key] = live = LiveRun(attempt, standby.thread)
        standby.give(live, f"jobsvc-{self._name}-{claim.key}")

    def _live_on(self, live: LiveRun[C, S]) -> None:
        live_on(live, self._jobs.run, self, self._park_after)

    def leave(self, live: LiveRun[C, S], *, paused: bool) -> None:
        """See `Slots`; called by the run's thread."""
        with self._changed:
            self._free += 1
            self._wanted = True
            self._changed.notify_all()
            live.claim = None
            if not paused or live.ending or live.next is not None or not self._paused.keep(live):
                self._settle(live)
        self._on_leave()
        self._tell_then()

    def stop_waiting(self, live: LiveRun[C, S]) -> None:
        """See `Slots`; called by the run's thread."""
        with self._changed:
            self._paused.let_go(live)
            self._settle(live)

    def _settle(self, live: LiveRun[C, S]) -> None:
        """Go on with the next attempt if there is one; otherwise the thread ends. The caller holds `_changed`."""
        if not live.take_next() and self._live.get(live.key) is live:
            del self._live[live.key]


def _nothing(_: object) -> None:
    """What is done where there is nothing to do."""


def _start(thread: Thread) -> None:
    """Raises RuntimeError."""
    thread.start()
