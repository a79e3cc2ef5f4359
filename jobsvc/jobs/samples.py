"""A job's progress over its life, as a few points of it: at most some hundred, however long it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

MOST = 200
"""When there are more points, every second one is dropped."""

FIRST_SECONDS = 1.0
"""The shortest run time between two points of a run."""


class Point(NamedTuple):
    """How far a job was at one moment: its counters, and for how many seconds runs of it had worked by then."""

    at: int
    """In milliseconds since 1970."""
    done: int
    failed: int
    ran: float

    @property
    def items(self) -> int:
        return self.done + self.failed


@dataclass(frozen=True)
class Series:
    """Points of a job's progress, oldest first.

    A run has one at its begin, one at most each `every` seconds of its time, and one where it stops.
    """

    points: tuple[Point, ...] = ()
    every: float = FIRST_SECONDS

    def followed_by(self, *more: Point) -> Series:
        """With further points; thinned if these are too many. The first and the last one always stay."""
        points = (*self.points, *more)
        if len(points) <= MOST:
            return Series(points, self.every)
        kept = points[(len(points) - 1) % 2 :: 2]
        kept = kept if kept[0] is points[0] else (points[0], *kept)
        # Twice as long as before, unless most points come from short runs.
        return Series(kept, max(FIRST_SECONDS, round(2 * points[-1].ran / MOST, 3)))

    def rates(self) -> list[float | None]:
        """For each point the items per second of run time since the one before; None where no time has passed."""
        return [None, *(_rate(before, after) for before, after in pairwise(self.points))] if self.points else []

    def stored(self) -> str:
        """As JSON."""
        return json.dumps([[*point] for point in self.points], separators=(",", ":"))

    @classmethod
    def read(cls, stored: str, every: float) -> Self:
        """What is stored; no points if somebody else has written there."""
        try:
            return cls(tuple(_read(point) for point in json.loads(stored)), max(FIRST_SECONDS, every))
        except (ValueError, TypeError):
            return cls()


def _read(point: Sequence[float]) -> Point:
    at, done, failed, ran = point
    return Point(int(at), int(done), int(failed), float(ran))


def _rate(before: Point, after: Point) -> float | None:
    seconds, items = after.ran - before.ran, after.items - before.items
    return round(items / seconds, 1) if seconds > 0 and items >= 0 else None
