"""How many requests a second a user may send.

Each user has a bucket that holds `BURST_SECONDS` worth of requests, and fills up at the rate that is allowed. A
request takes one out of it, or is refused and takes none. What is kept of a bucket is when it will be full again
(the "generic cell rate algorithm" of ATM networks), so that nothing has to run in between.

Requests that steer jobs have a bucket of their own: whatever else somebody's script does, they can stop their jobs.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import ceil
from threading import Lock
from time import monotonic
from typing import NamedTuple, Protocol

from jobsvc.jobs.errors import TooManyRequests
from jobsvc.store.database import Database
from jobsvc.store.queries.sharing import rate_rows

BURST_SECONDS = 2.0005
"""A moment more than two seconds, since the seconds between two requests are rounded."""


class Sort(StrEnum):
    """Which bucket a request takes from."""

    STEER = "steer"
    OTHER = "other"


class Bucket(NamedTuple):
    user: str
    sort: Sort


class Buckets(Protocol):
    """The buckets of all users."""

    def take(self, bucket: Bucket, interval: float) -> float:
        """Take a request out, for which it needs `interval` seconds to fill up again.

        Returns 0, or, with nothing taken, after how many seconds there is one.
        """


class OwnBuckets:
    """Those of a process that answers all requests alone. There are two for each user who has a key.

    `_lock` guards `_full_at`.
    """

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` is in seconds."""
        self._now = now
        self._lock = Lock()
        self._full_at: dict[Bucket, float] = {}

    def take(self, bucket: Bucket, interval: float) -> float:
        with self._lock:
            now = self._now()
            full_at = max(self._full_at.get(bucket, now), now) + interval
            if full_at - now > BURST_SECONDS:
                return full_at - now - BURST_SECONDS
            self._full_at[bucket] = full_at
            return 0.0


class SharedBuckets:
    """Those of all processes of a fleet, in PostgreSQL. Safe to share among threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, bucket: Bucket, interval: float) -> float:
        """Raises what the database raises."""
        with self._database.write(urgent=True) as connection:
            return rate_rows.take(connection, bucket.user, bucket.sort, interval, BURST_SECONDS)


class RequestRate:
    """Safe to share among threads, as the buckets are. With `most` = 0 there is no limit."""

    def __init__(self, buckets: Buckets, most: int) -> None:
        self._buckets, self._most = buckets, most

    def check(self, user: str, sort: Sort) -> None:
        """A request has come. Raises TooManyRequests, and what the database raises."""
        if not self._most:
            return
        wait = self._buckets.take(Bucket(user, sort), 1 / self._most)
        if wait > 0:
            raise TooManyRequests(user, allowed=self._most, retry_after=ceil(wait))
