"""What jobs ask of the engines that run them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from jobsvc.jobs.job import Job


class Engine(Protocol):
    """Where runs happen."""

    def queue(self, connection: Connection, job: Job, *, ahead: bool = False, after: float = 0.0) -> None:
        """In the transaction that queues a job: have it run, after so many seconds; `ahead` of those not begun yet."""

    def stop(self, connection: Connection, job: Job) -> None:
        """In the transaction that asks a job to stop: have its run see it, if it has one."""

    def wake(self) -> None:
        """A job was queued: run it as soon as a slot is free."""

    def signal(self, key: int, attempt: int) -> bool:
        """Make a run look at its job's row. Returns False if that attempt isn't running here."""

    def held(self, key: int, attempt: int) -> AbstractContextManager[None]:
        """While something is being asked of a job: have its run take no further item, and wait for what it is."""

    def forget(self, key: int) -> None:
        """A paused job will not go on: let go of what is kept for it."""


class RollbackEngine(Protocol):
    """Where rollbacks happen."""

    def queue(self, connection: Connection, job: Job, *, ahead: bool = False, after: float = 0.0) -> None:
        """In the transaction that asks for a rollback: have it done, after so many seconds."""

    def wake(self) -> None:
        """A rollback was asked for: do it as soon as that goes."""
