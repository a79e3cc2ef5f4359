"""What one run adds to the throughput of the whole service, at checkpoints that come anyway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from jobsvc.store.queries.sampling import throughput_rows
from jobsvc.store.queries.sampling.throughput_rows import BUCKET_SECONDS, KEPT_SECONDS


@dataclass(frozen=True)
class Told:
    """What is told once the transaction is committed: all `items` up to `until`, in seconds since 1970."""

    until: float
    items: float


class Throughput:
    """Of one run, for one thread at a time: its own, or that which commits for it.

    Items are told once in `BUCKET_SECONDS`, evenly over the time since those told before. What a run has
    done in the last of these before it fails, or is killed, is not told.
    """

    def __init__(self, now: Callable[[], datetime], items: int) -> None:
        """`items` is how many the job has dealt with before."""
        self._now = now
        self._told = Told(now().timestamp(), items)

    def add(self, connection: Connection, items: int, *, last: bool) -> Told | None:
        """Tell of the `items` that the job has dealt with by now, if it is time to; the `last` time it always is.

        Returns what is to be `noted` after the commit.
        """
        at, before = self._now().timestamp(), self._told
        if at < before.until:
            # Somebody has set the clock back.
            before = Told(at, before.items)
        until = at if last else at - at % BUCKET_SECONDS
        if until <= before.until and not last:
            return before if before is not self._told else None
        count = items - before.items
        if until < at:
            count *= (until - before.until) / (at - before.until)
        if count > 0:
            throughput_rows.add(connection, spread(before.until, until, count))
        return Told(until, before.items + count)

    def noted(self, told: Told | None) -> None:
        """The transaction with this was committed."""
        if told is not None:
            self._told = told


def spread(since: float, until: float, items: float) -> Mapping[int, float]:
    """So many items by bucket, evenly over a time; of a very long time the end."""
    since = max(since, until - KEPT_SECONDS)
    if since >= until:
        return {int(until // BUCKET_SECONDS): items}
    found: dict[int, float] = {}
    begin = since
    while begin < until:
        bucket = int(begin // BUCKET_SECONDS)
        end = min(until, float((bucket + 1) * BUCKET_SECONDS))
        found[bucket] = items * ((end - begin) / (until - since))
        begin = end
    return found
