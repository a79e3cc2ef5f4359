"""How the whole service is at work: its slots, its queue, its throughput, and how many jobs are in which state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from jobsvc.jobs.states import State
from jobsvc.service.monitoring.cached import Cached
from jobsvc.service.workers import Slots, Workers
from jobsvc.store.database import Database
from jobsvc.store.queries.listing import job_counts
from jobsvc.store.queries.sampling import throughput_rows
from jobsvc.store.queries.sampling.throughput_rows import BUCKET_SECONDS

STEP_SECONDS = BUCKET_SECONDS
"""How long one of the steps is in which the throughput is told."""

BUCKETS = 120
"""So many are told: ten minutes."""

SETTLING_SECONDS = 2.0
"""A bucket is told when it is over for so long: until then runs may have something to add."""

COUNTED = 10_000
"""Jobs in one state are counted up to so many."""


@dataclass(frozen=True)
class Count:
    """How many jobs there are; with `or_more`, at least so many."""

    count: int
    or_more: bool

    @classmethod
    def of(cls, count: int) -> Count:
        return cls(count, count >= COUNTED)


class Rate(NamedTuple):
    """Items per second, in the `BUCKET_SECONDS` from `at` on."""

    at: datetime
    rate: float


@dataclass(frozen=True)
class AtWork:
    """The whole service at one moment, without a name of anybody."""

    slots: Slots | None
    queued: Count
    paused: Count
    throughput: Sequence[Rate]


class Overview:
    """Safe to share among threads."""

    def __init__(self, database: Database, workers: Workers, now: Callable[[], datetime]) -> None:
        self._database = database
        self._workers = workers
        self._now = now
        self._at_work = Cached(lambda _: self._read())
        self._counts = Cached(self._count)

    def at_work(self) -> AtWork:
        """All of it, at most some seconds old."""
        return self._at_work.get()

    def counts(self, owner: str | None) -> Mapping[str, Count]:
        """How many jobs there are in each state; with an `owner`, of this user."""
        return self._counts.get(owner)

    def _count(self, owner: str | None) -> Mapping[str, Count]:
        with self._database.look() as connection:
            found = job_counts.by_state(connection, list(State), owner, COUNTED)
        return {state: Count.of(count) for state, count in found.items()}

    def _read(self) -> AtWork:
        counts = self.counts(None)
        end = int((self._now().timestamp() - SETTLING_SECONDS) // BUCKET_SECONDS)
        with self._database.read() as connection:
            items = throughput_rows.between(connection, end - BUCKETS, end)
            slots = self._workers.slots(None) or self._workers.slots(connection)
        rates = [_rate(bucket, items.get(bucket, 0.0)) for bucket in range(end - BUCKETS, end)]
        return AtWork(slots, counts[State.QUEUED], counts[State.PAUSED], rates)


def _rate(bucket: int, items: float) -> Rate:
    return Rate(datetime.fromtimestamp(bucket * BUCKET_SECONDS, UTC), round(items / BUCKET_SECONDS, 1))
