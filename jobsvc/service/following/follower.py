"""Waiting until a job has changed: one thread looks for all requests of the process that wait.

It looks when this process, or by PostgreSQL's NOTIFY another one, tells of a change of
state. Nobody tells of progress, so it also looks a few times a second. A look is one
query for all jobs that are waited for, and nobody looks while nobody waits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Event, Thread
from time import monotonic

from jobsvc.deadlines import REQUEST_SECONDS, Deadline, time_limit
from jobsvc.jobs.job import Job
from jobsvc.service.following.place import OwnPlaces, Place
from jobsvc.service.following.unless import Change, Unless
from jobsvc.service.lookup import Lookup
from jobsvc.service.notifier import Notifier
from jobsvc.store.errors import unexplained

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""The polling interval, for what nobody tells of."""

ASIDE_SECONDS = 0.05
"""Before each look: the request that has made the change is answered first, and changes that follow
one another are seen as one. An action on many jobs makes hundreds a second."""

PROGRESS_SECONDS = 0.5
"""Progress alone is told no sooner: whoever follows a job gets two answers a second, and not one a checkpoint."""

LOOK_LIMIT_SECONDS = 2.0
"""How long a look waits for the database."""

GONE_SECONDS = 1.0
"""The interval at which a request that waits looks whether its client is still there."""

RETRY_SECONDS = 2
"""When to ask again where it could not be waited for: not at once, over and over."""


@dataclass(frozen=True)
class Followed:
    """A job as it stands at the end of a wait."""

    job: Job
    turned_away: bool = False
    """Whether it could not be waited for: too many others wait, or the process ends."""


@dataclass(eq=False)
class _Waiting:
    """A request that waits. `found` is written before `woken` is set, and read after."""

    job_id: str
    unless: Unless
    since: float = field(default_factory=monotonic)
    woken: Event = field(default_factory=Event)
    found: Job | None = None

    def is_answered_by(self, job: Job) -> bool:
        change = self.unless.change(job)
        return change is Change.MORE or (change is Change.PROGRESS and monotonic() - self.since >= PROGRESS_SECONDS)


class Follower:
    """Safe to share among threads. `_changed` guards `_waiting` and `_closing`."""

    def __init__(self, lookup: Lookup, notifier: Notifier) -> None:
        self._lookup = lookup
        self._notifier = notifier
        self._places = OwnPlaces()
        self._changed = Condition()
        self._waiting: set[_Waiting] = set()
        self._closing = False
        self._thread = Thread(target=self._live, name="jobsvc-follower", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def begin_shut_down(self) -> None:
        """End all waits. Returns at once."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            for one in self._waiting:
                one.woken.set()

    def shut_down(self, seconds: float) -> None:
        """Begin to shut down, and wait up to `seconds` for the thread to end."""
        self.begin_shut_down()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def follow(self, job_id: str, unless: Unless, wait: float, place: Place | None = None) -> Followed:
        """The job, as soon as it is no longer as `unless` says; after `wait` seconds as it is then.

        Progress alone is told after `PROGRESS_SECONDS` at the earliest. Returns at once where
        there is no place, and in a shutdown. Raises UnknownJob, also where the job is
        deleted meanwhile; DatabaseDown where the database goes away.
        """
        until = Deadline(wait)
        waiting = _Waiting(job_id, unless)
        job = self._lookup.get(job_id)
        if waiting.is_answered_by(job) or not wait:
            return Followed(job)
        place = place or self._places
        if not place.take():
            return Followed(job, turned_away=True)
        try:
            with self._listed(waiting):
                job = self._waited(waiting, until, place)
            return Followed(job, turned_away=self._closing and not waiting.is_answered_by(job))
        finally:
            place.give_back()

    def _waited(self, waiting: _Waiting, until: Deadline, place: Place) -> Job:
        while until.left() and not self._closing and not place.client_is_gone():
            if not waiting.woken.wait(min(until.left(), GONE_SECONDS)):
                continue
            waiting.woken.clear()
            # Otherwise it could not be read: the request does so by itself, and says what is wrong.
            job = waiting.found or self._read(waiting.job_id)
            if waiting.is_answered_by(job):
                return job
        return self._read(waiting.job_id)

    def _read(self, job_id: str) -> Job:
        # The request's own limit was for the time before it waited.
        with time_limit(REQUEST_SECONDS):
            return self._lookup.get(job_id)

    @contextmanager
    def _listed(self, waiting: _Waiting) -> Iterator[None]:
        with self._changed:
            self._waiting.add(waiting)
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._waiting.remove(waiting)

    def _live(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                self._changed.wait_for(lambda: self._closing, ASIDE_SECONDS)
                if self._closing:
                    return
                all_waiting = list(self._waiting)
            # Before the look, so that what changes during it isn't missed.
            version = self._notifier.version()
            self._look(all_waiting)
            self._notifier.wait(version, LOOK_SECONDS - ASIDE_SECONDS)

    def _look(self, all_waiting: Sequence[_Waiting]) -> None:
        try:
            with time_limit(LOOK_LIMIT_SECONDS):
                jobs = self._lookup.some({one.job_id for one in all_waiting})
            for one in all_waiting:
                job = jobs.get(one.job_id)
                if job is None or one.is_answered_by(job):
                    one.found = job
                    one.woken.set()
        except Exception as error:
            # The thread outlives whatever it is: all others wait for it.
            log.warning("nobody hears of changes of jobs: %s", error, exc_info=unexplained(error))
            for one in all_waiting:
                one.woken.set()
