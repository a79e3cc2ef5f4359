"""The points of its progress that a run leaves behind, at checkpoints that come anyway."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import NamedTuple

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.jobs.samples import FIRST_SECONDS, Point, Series
from jobsvc.store.queries.sampling import sample_rows

SAME_MS = 1000
"""A run that begins so soon after the last point, and just there, has no need of one for its begin."""


class Known(NamedTuple):
    """What is stored of a job that a run works on."""

    series: Series
    ran_before: float
    """How long earlier runs have worked, in seconds."""


class Sampler:
    """Of one run, for one thread at a time: its own, or that which commits for it.

    What a run has done since its last point before it fails, or is killed, has no point of its own. The
    next run's begin shows it: there the counters are others, and no run time has passed.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        key: JobKey,
        done: int,
        failed: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`done` and `failed` are what the job's counters say at the begin; `clock` gives seconds."""
        self._now = now
        self._clock = clock
        self._key = key
        self._begun = clock()
        self._begin = Point(_milliseconds(now()), done, failed, 0.0)
        self._known: Known | None = None
        self._next = FIRST_SECONDS
        """From which time of this run on a point is due, in seconds."""

    def add(self, connection: Connection, done: int, failed: int, *, last: bool) -> Known | None:
        """Add a point if one is due; the `last` time one always is, if there is anything new.

        Returns what is to be `noted` after the commit.
        """
        ran = self._clock() - self._begun
        if ran < self._next and not last:
            return None
        series, ran_before = self._known or self._read(connection)
        latest = series.points[-1]
        at = max(latest.at, _milliseconds(self._now()))
        point = Point(at, done, failed, round(ran_before + ran, 3))
        if last and point.items == latest.items:
            return None
        series = series.followed_by(point)
        sample_rows.put(connection, self._key, series.stored(), series.every)
        return Known(series, ran_before)

    def noted(self, known: Known | None) -> None:
        """The transaction with this was committed."""
        if known is not None:
            self._known = known
            self._next = self._clock() - self._begun + known.series.every

    def _read(self, connection: Connection) -> Known:
        """What earlier runs have stored, and this one's begin."""
        row = sample_rows.of_job(connection, self._key)
        series = Series() if row is None else Series.read(row["points"], row["every"])
        if not series.points:
            return Known(series.followed_by(self._begin), 0.0)
        latest, begin = series.points[-1], self._begin
        if begin.items == latest.items and 0 <= begin.at - latest.at < SAME_MS:
            return Known(series, latest.ran)
        return Known(series.followed_by(begin._replace(at=max(begin.at, latest.at), ran=latest.ran)), latest.ran)


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
