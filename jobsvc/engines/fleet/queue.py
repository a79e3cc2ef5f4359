"""Runs on the machines of a fleet: what a process that runs nothing itself says to their queue.

The queue is Procrastinate's. Everything is said on the caller's connection, in
the caller's transaction: an entry is there if and only if what it stands for is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import psycopg
from procrastinate import App, SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from jobsvc.identifiers import EntryId, JobKey, Priority

ROLLBACK_QUEUE = "jobsvc:rollbacks"
"""Kinds have queues of their names; a colon is in none of them."""

AHEAD = 1
"""The priority of an entry of what was under way already, before what has yet to begin."""

CLASS = 10**9
"""How far the priorities of entries are apart whose jobs have other priorities: more than there are turns. They are
32 bits wide."""


class Task(StrEnum):
    """What an entry of the queue asks for."""

    RUN = "jobsvc.run"
    ROLL_BACK = "jobsvc.roll_back"


class Queued(Protocol):
    """A job, as far as the queue knows of it."""

    @property
    def key(self) -> JobKey: ...
    @property
    def kind(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def queue_entry(self) -> EntryId | None: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def turn(self) -> int: ...


class FleetEngine:
    """Puts jobs into the queue. Safe to share among threads.

    `note_entry(connection, key, entry)` writes down which entry of the queue a
    job has now: at most one is its own, and only that one may begin a run.
    `hold_back(connection, job)` says whether it is to have none now: somebody queues it again when it may have one.
    """

    tells_ahead = False

    def __init__(
        self,
        task: Task,
        note_entry: Callable[[Connection, JobKey, EntryId], None],
        hold_back: Callable[[Connection, Queued], bool] = lambda _connection, _job: False,
    ) -> None:
        self._task = task
        self._note_entry = note_entry
        self._hold_back = hold_back
        self.make_way: Callable[[FleetEngine], object] = _nothing
        """Have jobs give way to one that may take their slots. To be set before the first is queued."""
        # Never opened: it has no connections of its own.
        self._app = App(connector=SyncPsycopgConnector())

    @contextmanager
    def asking(self, running: object = None) -> Iterator[FleetAsking]:
        """What is asked is said in the transaction. After it, jobs give way to what was queued, if that may be."""
        asking = FleetAsking(self)
        yield asking
        if asking.urgent:
            self.make_way(self)

    def queue(
        self, connection: Connection, job: Queued, *, ahead: bool = False, after: float = 0.0, when_left: bool = False
    ) -> None:
        """Have a worker take the job, after so many seconds: `ahead` of those that have not begun.

        `when_left`: not now. The worker that sees the job's run leave queues it, or the
        sweep that finds it without one (see `FleetRuns`).
        """
        if when_left or self._hold_back(connection, job):
            return
        driver = _driver(connection)
        task = self._app.configure_task(
            self._task,
            queue=ROLLBACK_QUEUE if self._task is Task.ROLL_BACK else job.kind,
            priority=self._priority(job, ahead),
            schedule_at=_in(driver, after) if after > 0 else None,
            connection=driver,
        )
        with _told_as_sqlalchemy_does():
            entry = EntryId(task.defer(key=job.key))
        self._note_entry(connection, job.key, entry)

    def _priority(self, job: Queued, ahead: bool) -> int:
        """The priority of an entry: the first with the highest goes next."""
        if self._task is Task.ROLL_BACK:
            return AHEAD if ahead else 0
        return -job.priority * CLASS + (AHEAD if ahead else -min(job.turn, CLASS - 1))

    def stop(self, connection: Connection, job: Queued, *, for_good: bool) -> None:
        """Delete the job's entry. A worker that has begun it is to abort it: the run reads the job's row."""
        if job.queue_entry is not None:
            with _told_as_sqlalchemy_does():
                self._app.job_manager.cancel_job_by_id(
                    job.queue_entry, abort=True, delete_job=True, connection=_driver(connection)
                )

    def signal(self, key: JobKey, attempt: int) -> bool:
        """The queue tells the run; that there is one is taken for true until its worker is given up."""
        return True


def _nothing(_: object) -> None:
    """What is done where there is nothing to do."""


class FleetAsking:
    """What is said to an engine around one transaction, by one thread."""

    def __init__(self, engine: FleetEngine) -> None:
        self._engine = engine
        self.stop = engine.stop
        self.urgent = False
        """Whether one of the queued jobs may take the slot of another."""

    def queue(
        self, connection: Connection, job: Queued, *, ahead: bool = False, after: float = 0.0, when_left: bool = False
    ) -> None:
        """See `FleetEngine.queue`."""
        self._engine.queue(connection, job, ahead=ahead, after=after, when_left=when_left)
        self.urgent |= job.priority is Priority.HIGH


def _driver(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _in(driver: psycopg.Connection, seconds: float) -> datetime:
    """That time by the database's clock, which the queue uses."""
    found = driver.execute("SELECT clock_timestamp() + make_interval(secs => %s)", (seconds,)).fetchone()
    assert found is not None
    at: datetime = found[0]
    return at


@contextmanager
def _told_as_sqlalchemy_does() -> Iterator[None]:
    """Raises errors of the connection as if SQLAlchemy had sent the statement."""
    try:
        yield
    except ConnectorException as error:
        cause = error.__cause__
        if not isinstance(cause, Exception):
            raise
        raise DBAPIError.instance("an entry of the queue", None, cause, psycopg.Error) from error
