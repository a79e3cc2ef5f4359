"""What engines, runs and the store know the same things by.

Three of them are numbers that must not be taken for one another: a type checker tells
them apart, at run time they are plain ints.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NewType

JobKey = NewType("JobKey", int)
"""A job's number in the database, `jobs.key`. Clients know a job by its id, which is a text."""

ActionKey = NewType("ActionKey", int)
"""The number of an action on many jobs, `actions.key`."""

EntryId = NewType("EntryId", int)
"""The number of an entry of the fleet's queue."""


class Purpose(StrEnum):
    """What a queue worker is for; each worker of the fleet has one for each purpose."""

    RUNS = "runs"
    """It has the worker's slots. Its row stands for the worker."""
    ROLLBACKS = "rollbacks"
    RECOVERY = "recovery"


class Priority(IntEnum):
    """Which of the queued jobs go first: those with the lower number, as with the niceness of processes."""

    HIGH = -1
    NORMAL = 0
    LOW = 1

    @property
    def word(self) -> str:
        """What clients call it."""
        return self.name.lower()

    @classmethod
    def words(cls) -> list[str]:
        """What clients may say, the lowest first."""
        return [each.word for each in sorted(cls, reverse=True)]


MAX_NUMBERS = 10**12
"""The last part of an id is a number below this."""


def new_id(name: str, at: datetime) -> str:
    """An id for clients: what `name` says of it, the seconds since 1970, a random number. A unique column holds it."""
    return f"{name}-{int(at.timestamp())}-{secrets.randbelow(MAX_NUMBERS)}"
