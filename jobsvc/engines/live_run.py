"""The thread of a job: it runs one attempt after another, and waits for the next while the job is paused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Generic, Protocol, TypeVar

from jobsvc.identifiers import JobKey
from jobsvc.logs.private import PRIVATE

log = logging.getLogger(__name__)

PAUSED = "paused"
"""What a run returns of a job that waits to be resumed: its thread is kept for it."""


class Claim(Protocol):
    """A job that was taken from the queue for one attempt."""

    @property
    def key(self) -> JobKey: ...
    @property
    def attempt(self) -> int: ...


class RunSignals(Protocol):
    """What a run looks at before every item."""

    @property
    def stop(self) -> Event: ...

    def shut_down(self) -> None: ...

    def begin_asking(self) -> None: ...

    def end_asking(self) -> None: ...


C = TypeVar("C", bound=Claim)
S = TypeVar("S", bound=RunSignals)


@dataclass(frozen=True)
class Attempt(Generic[C, S]):
    """A claimed job, and what its run looks at."""

    claim: C
    signals: S


class LiveRun(Generic[C, S]):
    """A thread and the job it runs or, paused, waits for.

    Every field but the events' own state is guarded by the engine's condition.
    """

    def __init__(self, attempt: Attempt[C, S], thread: Thread) -> None:
        self.claim: C | None = attempt.claim
        """What to run, or what is being run; None while paused."""
        self.key = attempt.claim.key
        self.attempt = attempt.claim.attempt
        self.signals = attempt.signals
        self.thread = thread
        self.next: Attempt[C, S] | None = None
        """The attempt to go on with, once this one is over."""
        self.woken = Event()
        """Wakes the thread while it is paused: there is a `next`, or it is to end."""
        self.ending = False

    @property
    def is_under_way(self) -> bool:
        """Whether it has an attempt that has not left its slot."""
        return self.claim is not None or self.next is not None

    def signals_of(self, attempt: int) -> S | None:
        """What an attempt looks at that has not left its slot."""
        if self.next is not None and self.next.claim.attempt == attempt:
            # It waits for the attempt before it to leave, and will look before its first item.
            return self.next.signals
        return self.signals if self.attempt == attempt and self.claim is not None else None

    def go_on_with(self, attempt: Attempt[C, S]) -> None:
        """Run this attempt next."""
        assert self.next is None, "a job is queued again only when its attempt is paused"
        self.next = attempt
        self.woken.set()

    def take_next(self) -> bool:
        """Go on with the next attempt, if there is one. If not, the thread ends."""
        if self.next is None:
            self.ending = True
            return False
        self.claim, self.signals, self.next = self.next.claim, self.next.signals, None
        self.attempt = self.claim.attempt
        self.woken.clear()
        return True

    def end(self) -> None:
        """End the thread when its attempt is over, or at once if it waits."""
        self.ending = True
        self.woken.set()

    def shut_down(self) -> None:
        """Have its attempts commit and leave, and then the thread end."""
        self.signals.shut_down()
        if self.next is not None:
            self.next.signals.shut_down()
        self.end()


class Slots(Protocol[C, S]):
    """Where a thread's attempts come from."""

    def leave(self, live: LiveRun[C, S], *, paused: bool) -> None:
        """An attempt is over: its slot is free. If the job is `paused`, the thread waits for its next attempt."""

    def stop_waiting(self, live: LiveRun[C, S]) -> None:
        """The thread was woken, or has waited for long enough."""


def live_on(live: LiveRun[C, S], run: Callable[[C, S], str | None], slots: Slots[C, S], park_after: float) -> None:
    """The life of a run's thread: one attempt after another, with pauses of at most `park_after` seconds between."""
    while (claim := live.claim) is not None:
        outcome = None
        try:
            outcome = run(claim, live.signals)
        except BaseException:
            # Also what would end the thread without a word, such as a SystemExit.
            fields = {"job_key": claim.key, "attempt": claim.attempt, **PRIVATE}
            log.exception("the end of a run could not be recorded", extra=fields)
        finally:
            slots.leave(live, paused=outcome == PAUSED)
        if live.claim is None and not live.ending:
            live.woken.wait(park_after)
            slots.stop_waiting(live)


class Standby(Generic[C, S]):
    """A thread that was started before there is a job for it. Its fields are guarded by the engine's condition."""

    def __init__(self, live_on: Callable[[LiveRun[C, S]], None], name: str) -> None:
        self._live_on = live_on
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
            self._live_on(self._run)
