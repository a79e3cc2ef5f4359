"""What the answers about the service itself look like. See `shapes.py`."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from jobsvc.jobs.states import State
from jobsvc.web.openapi.shapes import Shape


class Slots(Shape):
    """How many jobs can run at a time."""

    total: int
    used: int
    free: int


class Count(Shape):
    """How many jobs there are."""

    count: int
    or_more: bool
    """Whether there may be more: no further ones are counted."""


class Throughput(Shape):
    at: datetime
    """Where its five seconds begin."""
    rate: float
    """Items per second, done and refused, of all jobs together."""


class Service(Shape):
    """How the service is at work."""

    slots: Slots | None
    queued: Count
    """Of all users."""
    paused: Count
    """Of all users."""
    throughput: list[Throughput]
    """Of the last ten minutes, the oldest first."""
    jobs: dict[State, Count]
    """The jobs that are there for the caller, by state."""


class Setting(Shape):
    name: str
    value: str | None
    """As it is in effect; null: empty. `set` stands for a secret, and … for a part that is one."""
    from_: str = Field(serialization_alias="from")
    """The environment, a file, `default`, or the program that starts the service."""


class Disk(Shape):
    """A disk that the service fills. Sizes are in bytes."""

    holds: str
    """What is on it: the database, or files."""
    free: int
    total: int
    to_stay_free: int


class ServiceDatabase(Shape):
    place: str
    """Without its password."""
    size: int | None
    """In bytes; null: it does not answer."""
    log_size: int | None
    """Of SQLite's log, in bytes."""


class ServiceDetails(Shape):
    """What the service is; of the process that answers."""

    started_at: datetime
    ready: bool
    not_ready: str | None
    """Why it can't take work at the moment."""
    versions: dict[str, str]
    settings: list[Setting]
    disks: list[Disk]
    database: ServiceDatabase
