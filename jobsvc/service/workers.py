"""The processes that run jobs at the moment, and which jobs."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from jobsvc.identifiers import Purpose
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import UNDER_WAY
from jobsvc.store import clock
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows, worker_rows


@dataclass(frozen=True)
class WorkerProcess:
    """A process that runs jobs. `queues` are the kinds that it takes; empty: all."""

    name: str
    host: str
    pid: int
    started_at: datetime
    last_heartbeat: datetime
    alive: bool
    """Whether the last heartbeat is not too long ago."""
    silent_seconds: float
    """How long ago it is."""
    concurrency: int
    """How many slots it has: so many jobs it runs at a time."""
    used: int
    """How many of them are taken. Rollbacks take none."""
    queues: Sequence[str]
    running: Sequence[Job]


@dataclass(frozen=True)
class Slots:
    """How many jobs can run at a time, and how many do."""

    total: int
    used: int


class Workers(Protocol):
    def all(self) -> list[WorkerProcess]:
        """Every known worker, the oldest first."""

    def count(self) -> int | None:
        """How many are alive; None if this process runs the jobs by itself."""

    def count_in(self, connection: Connection) -> int | None:
        """The same, in the caller's transaction."""

    def slots(self, connection: Connection | None) -> Slots | None:
        """The slots for runs; None if nobody can tell without a `connection`."""


class OwnWorker:
    """With the engine `threads`: this process alone."""

    def __init__(self, database: Database, now: Callable[[], datetime], *, slots: int, used: Callable[[], int]) -> None:
        """`used` says how many of the slots are taken now."""
        self._database = database
        self._now = now
        self._slots = slots
        self._used = used
        self._started_at = now()

    def all(self) -> list[WorkerProcess]:
        with self._database.read() as connection:
            running = [Job.from_row(row) for row in job_rows.under_way(connection, UNDER_WAY)]
        host, pid = socket.gethostname(), os.getpid()
        return [
            WorkerProcess(
                f"{host}:{pid}",
                host,
                pid,
                started_at=self._started_at,
                last_heartbeat=self._now(),
                alive=True,
                silent_seconds=0.0,
                concurrency=self._slots,
                used=self._used(),
                queues=(),
                running=running,
            )
        ]

    def count(self) -> None:
        return None

    def count_in(self, connection: Connection) -> None:
        return None

    def slots(self, connection: Connection | None) -> Slots:
        return Slots(self._slots, self._used())


class FleetWorkers:
    """With the engine `fleet`: every process that has a heartbeat."""

    def __init__(self, database: Database, now: Callable[[], datetime], *, stalled_after: float) -> None:
        self._database = database
        self._now = now
        self._stalled_after = timedelta(seconds=stalled_after)

    def all(self) -> list[WorkerProcess]:
        running: dict[str, list[Job]] = {}
        used: Counter[str] = Counter()
        with self._database.read() as connection:
            found = worker_rows.present(connection)
            now = clock.read(connection, self._now)
            for row in worker_rows.under_way(connection):
                values = dict(row)
                session, purpose = values.pop("session"), values.pop("purpose")
                running.setdefault(session, []).append(Job.from_row(values))
                used[session] += purpose == Purpose.RUNS
        return [
            WorkerProcess(
                **{name: row[name] for name in ("name", "host", "pid", "started_at", "last_heartbeat")},
                alive=row["last_heartbeat"] >= now - self._stalled_after,
                silent_seconds=max(0.0, (now - row["last_heartbeat"]).total_seconds()),
                concurrency=row["concurrency"],
                used=used[row["session"]],
                queues=row["queues"],
                running=running.get(row["session"], []),
            )
            for row in found
        ]

    def count(self) -> int:
        with self._database.read() as connection:
            return self.count_in(connection)

    def count_in(self, connection: Connection) -> int:
        return worker_rows.count_since(connection, self._stalled_after)

    def slots(self, connection: Connection | None) -> Slots | None:
        if connection is None:
            return None
        total = worker_rows.slots_since(connection, self._stalled_after)
        return Slots(total, worker_rows.count_under_way(connection, self._stalled_after))
