"""What clients may ask of jobs: submit, look, pause, resume, terminate."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import Any, Protocol

from sqlalchemy import Connection, RowMapping

from jobsvc.jobs.errors import NotAllowed, QueueFull, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.store import job_rows
from jobsvc.store.database import Database

SERVICE = "service"
"""Who, in a job's history, when the service changed its state by itself."""

_SETTLED = {State.PAUSING: State.PAUSED, State.TERMINATING: State.TERMINATED}
"""Where a request ends that waits for a run."""


class Engine(Protocol):
    """Where runs happen."""

    def wake(self) -> None:
        """A job was queued: run it as soon as a slot is free."""

    def signal(self, key: int, attempt: int) -> bool:
        """Make a run look at its job's row. Returns False if that attempt isn't running here."""

    def wait(self, key: int, attempt: int, seconds: float) -> bool:
        """Wait for an attempt to leave its slot. Returns False if it has not in that time."""

    def forget(self, key: int) -> None:
        """A paused job will not go on: let go of what is kept for it."""


class JobService:
    """Safe to share among threads: what it changes, it changes by compare-and-set in the database."""

    def __init__(self, database: Database, engine: Engine, now: Callable[[], datetime], max_queued: int) -> None:
        self._database = database
        self._engine = engine
        self._now = now
        self._max_queued = max_queued

    def new_id(self, user: str, kind: str) -> str:
        """An id for a job to be. The unique column `jobs.id` holds it to its promise."""
        return f"{user}-{kind}-{int(self._now().timestamp())}-{secrets.randbelow(10**12)}"

    def submit(self, job_id: str, kind: str, user: str, params: Mapping[str, Any]) -> Job:
        """Queue a new job. Raises QueueFull."""
        with self._database.write(urgent=True) as connection:
            now = self._now()
            if job_rows.count_in_state(connection, State.QUEUED) >= self._max_queued:
                raise QueueFull(self._max_queued)
            values = {"id": job_id, "kind": kind, "user": user, "params": dict(params)}
            key = job_rows.add(connection, {**values, "state": State.QUEUED, "created_at": now, "queued_at": now})
            job_rows.add_event(
                connection, key, at=now, before=None, after=State.QUEUED, who=user, why="the job was submitted"
            )
            job = Job.from_row(job_rows.by_key(connection, key))
        self._engine.wake()
        return job

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        with self._database.read() as connection:
            return self._find(connection, job_id)

    def page(
        self, *, limit: int, after: int | None, state: State | None, kind: str | None, user: str | None
    ) -> tuple[list[Job], int | None]:
        """Jobs, newest first, and the `after` of the next page."""
        with self._database.read() as connection:
            rows = job_rows.page(connection, limit=limit + 1, after=after, state=state, kind=kind, user=user)
        jobs = [Job.from_row(row) for row in rows[:limit]]
        return jobs, jobs[-1].key if len(rows) > limit else None

    def events(self, job_id: str) -> Sequence[RowMapping]:
        """A job's history, oldest first. Raises UnknownJob."""
        with self._database.read() as connection:
            return job_rows.events(connection, self._find(connection, job_id).key)

    def pause(self, job_id: str, who: str, wait: float) -> Job:
        """Ask for a pause and wait up to `wait` seconds for it.

        The job that is returned is `pausing` if its run has yet to obey; it may
        also have finished with its last item. Pausing a paused job is harmless.
        Raises UnknownJob, NotAllowed.
        """
        moves = {
            State.RUNNING: State.PAUSING,
            State.QUEUED: State.PAUSED,
            State.INTERRUPTED: State.PAUSED,
            State.PAUSING: None,
            State.PAUSED: None,
        }
        return self._settle(self._move(job_id, who, moves, "paused"), wait)

    def resume(self, job_id: str, who: str, wait: float) -> Job:
        """Queue a job that was paused, interrupted or failed again, at its cursor.

        A job that is on its way to paused is waited for, up to `wait` seconds.
        Resuming a job that is queued or runs is harmless. Raises UnknownJob, NotAllowed.
        """
        job = self.get(job_id)
        if job.state is State.PAUSING:
            self._settle(job, wait)
        moves = {
            State.PAUSED: State.QUEUED,
            State.INTERRUPTED: State.QUEUED,
            State.FAILED: State.QUEUED,
            State.QUEUED: None,
            State.RUNNING: None,
        }
        job = self._move(job_id, who, moves, "resumed", queued_at=self._now(), error=None)
        self._engine.wake()
        return job

    def terminate(self, job_id: str, who: str, wait: float) -> Job:
        """End a job for good, and wait up to `wait` seconds for its run to stop.

        The job that is returned is `terminating` if its run has yet to obey.
        Terminating a terminated job is harmless. Raises UnknownJob, NotAllowed.
        """
        moves = {
            State.QUEUED: State.TERMINATING,
            State.RUNNING: State.TERMINATING,
            State.PAUSING: State.TERMINATING,
            State.PAUSED: State.TERMINATING,
            State.INTERRUPTED: State.TERMINATING,
            State.TERMINATING: None,
            State.TERMINATED: None,
        }
        return self._settle(self._move(job_id, who, moves, "terminated"), wait)

    def _find(self, connection: Connection, job_id: str) -> Job:
        # A lone surrogate can't even be asked for.
        row = job_rows.by_id(connection, job_id) if job_id.isprintable() else None
        if row is None:
            raise UnknownJob(job_id)
        return Job.from_row(row)

    def _move(self, job_id: str, who: str, moves: Mapping[State, State | None], action: str, **values: Any) -> Job:
        """Take a job where `moves` says for its state (None: leave it), and return it."""
        with self._database.write(urgent=True) as connection:
            job = self._find(connection, job_id)
            if job.state not in moves:
                raise NotAllowed(job_id, job.state, action)
            after = moves[job.state]
            if after is None:
                return job
            transition(connection, job, after, who=who, at=self._now(), **values)
            if after is State.TERMINATING and job.state not in (State.RUNNING, State.PAUSING):
                self._end_request(connection, self._find(connection, job_id))
            job = self._find(connection, job_id)
        if job.state is State.TERMINATED:
            self._engine.forget(job.key)
        return job

    def _settle(self, job: Job, wait: float) -> Job:
        """Wait for the run of a job that is pausing or terminating to obey; without a run, obey for it."""
        deadline = monotonic() + wait
        while job.state in _SETTLED:
            if not self._engine.signal(job.key, job.attempt):
                with self._database.write(urgent=True) as connection:
                    current = self._find(connection, job.id)
                    if current.attempt == job.attempt:
                        self._end_request(connection, current)
            elif not self._engine.wait(job.key, job.attempt, deadline - monotonic()):
                return self.get(job.id)
            job = self.get(job.id)
        return job

    def _end_request(self, connection: Connection, job: Job) -> None:
        if job.state in _SETTLED:
            why = "nothing was running, so there was nothing to wait for"
            transition(connection, job, _SETTLED[job.state], who=SERVICE, at=self._now(), why=why)
