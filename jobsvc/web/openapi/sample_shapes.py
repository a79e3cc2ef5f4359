"""What a job's samples look like. See `shapes.py`."""

from __future__ import annotations

from datetime import datetime

from jobsvc.web.openapi.shapes import Shape


class Sample(Shape):
    """How far the job was at one moment."""

    at: datetime
    done: int
    failed: int
    ran: float
    """For how many seconds its runs worked since the sample before: less than has passed, where it was paused."""
    rate: float | None
    """Items per second, done and refused, of that time; null where no time is: at the begin of a run."""


class Samples(Shape):
    """A job's progress over its life, thinned."""

    samples: list[Sample]
    """The oldest first, up to 200 and the end."""
    every: float
    """A run leaves a sample once in so many seconds at most, and one where it stops."""
