"""Jobs whose process ends under them: how they are counted, held back, and failed in the end.

Each attempt counts as a crash from its claim on, until it comes to a checkpoint or
ends in good order, which sets the count back to nothing. So whatever is killed, and
whenever, nothing has to be written down afterwards: what a dead attempt leaves
behind says how many there were in a row.

The first crash of a job costs it nothing: a job that stood beside the one at fault
goes on at once. After the second one it is a suspect. Pauses grow from there, and
suspects begin one at a time: the next one when the one before has come to a
checkpoint. So the one at fault soon ends its process alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.states import UNDER_WAY
from jobsvc.kinds.contract import Kind
from jobsvc.store.queries import job_rows

SUSPECT_AFTER = 2
"""With so many crashes in a row a job that waits is a suspect."""

FIRST_DELAY_SECONDS = 1.0
"""After the crash that makes a job a suspect; each further pause is five times as long."""

MAX_DELAY_SECONDS = 300.0
"""No job waits longer, also where the clock was set back meanwhile."""

PROBATION_SECONDS = 600.0
"""After so long other suspects don't wait any more for one that has neither ended nor come to a checkpoint."""

NO_CRASH: Mapping[str, Any] = MappingProxyType({"crashes": 0, "not_before": None})
"""What a job's row says once an attempt has come to a checkpoint, or has ended in good order."""


class Left(NamedTuple):
    """What is written down of a job whose attempt has died."""

    values: Mapping[str, Any]
    """When it may begin again, as columns of its row."""
    why: str
    """For its history."""


def left(max_crashes: int, job: Job, at: datetime, why: str) -> Left:
    """What an attempt leaves that has died since `why`."""
    if job.crashes < SUSPECT_AFTER:
        return Left({"not_before": None}, why)
    why = f"{why}, {job.crashes} times in a row without a new checkpoint"
    if job.crashes >= max_crashes:
        return Left({"not_before": None}, why)
    pause = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 5.0 ** min(20, job.crashes - SUSPECT_AFTER))
    return Left({"not_before": at + timedelta(seconds=pause)}, f"{why}; it may begin again after {pause:g} s")


def claimed(job: Job, at: datetime) -> dict[str, Any]:
    """What an attempt that begins writes down: it counts until it has proved itself. For a suspect, when it began."""
    return {"crashes": job.crashes + 1, "not_before": at if job.crashes >= SUSPECT_AFTER else None}


def seconds_left(job: Job, now: datetime) -> float:
    """How long a job that has crashed still has to wait."""
    if job.not_before is None:
        return 0.0
    left = (job.not_before - now).total_seconds()
    return left if 0 < left <= MAX_DELAY_SECONDS else 0.0


def on_probation(job: Job) -> bool:
    """Whether a job that was claimed was a suspect: others wait for it."""
    return job.crashes > SUSPECT_AFTER


def somebody_on_probation(connection: Connection, now: datetime) -> bool:
    """Whether a suspect is under way that has not come to a checkpoint yet."""
    most = timedelta(seconds=PROBATION_SECONDS)
    return job_rows.exists_on_probation(connection, UNDER_WAY, SUSPECT_AFTER, now - most, now + most)


def idle_verdict(job: Job) -> str:
    """The same for a job whose runs keep a connection to the database while they wait for something else."""
    return (
        f"{job.crashes} times in a row the database ended a transaction of its run that was idle for too long, without "
        "a new checkpoint between: its kind must not keep a connection (item.read, context.read) while it waits for "
        "something else. Mend the kind, and resume the job"
    )


def verdict(job: Job, kind: Kind | None, place: Place) -> str:
    """The error of a job that has reached the limit: why it failed, and what can be done. Its kind knows where it
    stands."""
    return (
        f"its process ended {job.crashes} times in a row without a new checkpoint. {_stands(job, kind, place)}. "
        "Mend what ends the process and resume the job: it goes on there"
    )


def rollback_verdict(job: Job) -> str:
    return f"its process ended {job.crashes} times in a row and nothing more was undone"


def _stands(job: Job, kind: Kind | None, place: Place) -> str:
    if place.cursor is None:
        return "It has come to no checkpoint at all: what ends the process comes with its first items, or before them"
    line = None if kind is None or kind.line_key is None else place.cursor.get(kind.line_key)
    where = f" (from line {line} of the file on)" if isinstance(line, int) else ""
    return f"What ends the process comes soon after its item {job.done + job.failed}{where}"
