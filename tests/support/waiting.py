"""Waiting in tests: for an event, for a commit, for a job, and for something in another process.

Take the first of these that fits: an `Event` or a `Condition` of the test's own with
`TIMEOUT`; `Commits`, for what a database in this process holds; `wait_for`, for a job
of an application in this process; `poll`, for what only another process knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Any

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, State
from jobsvc.store.database import Database
from jobsvc.web.services import Services

TIMEOUT = 30.0
"""Seconds after which a test that waits for an event has failed."""

POLL_SECONDS = 0.01

MOST_POLL_SECONDS = 0.05


def poll(
    condition: Callable[[], bool],
    seconds: float,
    what: str,
    every: float | None = None,
    slows_to: float = MOST_POLL_SECONDS,
) -> None:
    """Look every so many seconds whether `condition` holds: for what no event in this process can tell.

    If that isn't said, at first often, and then less: a look may be a request, which takes from what is waited for.
    `slows_to`: the most seconds between two.
    """
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < seconds, f"waited {seconds} s for {what}"
        time.sleep(min(max(POLL_SECONDS, waited / 20), slows_to) if every is None else every)


class Commits:
    """Wakes those who wait whenever a write transaction has ended."""

    def __init__(self) -> None:
        self._changed = Condition()

    def note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until `condition`, which reads what is committed, holds."""
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT), f"waited {TIMEOUT} s for {what}"


@contextmanager
def noted_commits() -> Iterator[Commits]:
    """Note the end of every write transaction, of every database in this process."""
    commits = Commits()
    write = Database.write

    @contextmanager
    def noted(self: Database, **urgency: Any) -> Iterator[Any]:
        try:
            with write(self, **urgency) as connection:
                yield connection
        finally:
            commits.note()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "write", noted)
        yield commits


def wait_for(services: Services, job_id: str, *states: State, seconds: float = TIMEOUT) -> Job:
    """Read the job until it is in one of the states; returns it. A job that has ended otherwise fails the test."""

    def arrived() -> bool:
        job = services.jobs.get(job_id)
        assert job.state in states or job.state not in FINISHED, f"{job_id} is {job.state}: {job.error}"
        return job.state in states

    poll(arrived, seconds, f"{job_id} to be {' or '.join(states)}")
    return services.jobs.get(job_id)


def best_of(tries: int, within: float, once: Callable[[], float]) -> float:
    """The shortest of some times, in seconds; the first that is `within` the bound is the last.

    For a bound that means something also on a machine that others keep busy.
    """
    best = once()
    for _ in range(tries - 1):
        if best < within:
            break
        best = min(best, once())
    return best
