"""The run loop: what one run of a job does, from its claim to where it stops."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any

from jobsvc.jobs.checkpoint import AttemptLost, Checkpoints, fail
from jobsvc.jobs.job import Job
from jobsvc.jobs.meter import Meter
from jobsvc.jobs.signals import Signals
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Block, ItemAbandoned, JobContext, JobFailed, Kind, Work
from jobsvc.store import job_rows
from jobsvc.store.database import Database
from jobsvc.store.files import Files

log = logging.getLogger(__name__)


class Runner:
    """Claims queued jobs and runs them. Safe to share among threads: it has no state of its own."""

    def __init__(
        self, database: Database, files: Files, kinds: Mapping[str, Kind], now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._files = files
        self._kinds = kinds
        self._now = now

    def claim(self) -> Job | None:
        """Take the job that has waited longest from `queued` to `running`, as a new attempt; None if none waits."""
        with self._database.write(urgent=True) as connection:
            row = job_rows.first_in_state(connection, State.QUEUED)
            if row is None:
                return None
            job, now = Job.from_row(row), self._now()
            values: dict[str, Any] = {"attempt": job.attempt + 1, "started_at": job.started_at or now, "rate": None}
            transition(connection, job, State.RUNNING, who="engine", at=now, **values)
            return Job.from_row(job_rows.by_key(connection, job.key))

    def run(self, job: Job, signals: Signals) -> State | None:
        """Run a claimed job until it is done or told to stop.

        Returns the state that the run left the job in; None if the job was taken
        from it, in which case it left no effect.
        """
        try:
            state = State.RUNNING
            while state is State.RUNNING:
                state = self._work(job, signals)
                if state is State.RUNNING:
                    job = self._reread(job)
        except AttemptLost:
            log.info("job %s, attempt %d: taken over or settled elsewhere", job.id, job.attempt)
            return None
        except Exception as error:
            return self._record_failure(job, error)
        if state is State.TERMINATED:
            self._files.partial_output(job.id).unlink(missing_ok=True)
        return state

    def _work(self, job: Job, signals: Signals) -> State:
        """From the cursor on. Returns `running` if the run was stopped, but nobody wants it stopped any more."""
        with self._kinds[job.kind].open(self._context(job, signals)) as work:
            meter = Meter(monotonic, job.position, work.size)
            checkpoints = Checkpoints(self._database, job, work, meter, self._now)
            for block in work.blocks():
                items, stopped = _take(block, work, signals.stop.is_set)
                work.flush()
                # Cleared before the job's row is read: a request that comes later sets it again.
                if stopped and not signals.shutting_down:
                    signals.stop.clear()
                state = checkpoints.commit(block, items, leaving=signals.shutting_down)
                if stopped or state is not State.RUNNING:
                    return state
            work.finish()
            return checkpoints.succeed()

    def _record_failure(self, job: Job, error: Exception) -> State | None:
        if isinstance(error, JobFailed):
            text = str(error)
        else:
            log.exception("job %s, attempt %d failed", job.id, job.attempt, exc_info=error)
            text = f"{type(error).__name__}: {error}"
        try:
            return fail(self._database, job, text, self._now)
        except AttemptLost:
            return None

    def _reread(self, job: Job) -> Job:
        with self._database.read() as connection:
            again = Job.from_row(job_rows.by_key(connection, job.key))
        if again.attempt != job.attempt:
            raise AttemptLost
        return again

    def _context(self, job: Job, signals: Signals) -> JobContext:
        return JobContext(
            key=job.key,
            id=job.id,
            params=job.params,
            created_at=job.created_at,
            cursor=job.cursor,
            columns=job.columns,
            input=self._files.input(job.id),
            output=self._files.output(job.id),
            partial_output=self._files.partial_output(job.id),
            read=self._database.read,
            look=signals.stop.is_set,
        )


def _take(block: Block, work: Work, look: Callable[[], bool]) -> tuple[list[Any], bool]:
    """Take a block's items one by one, looking before each whether to stop. Returns them, and whether it stopped."""
    items: list[Any] = []
    take, process = items.append, work.process
    for item in block.items:
        if look():
            return items, True
        if process is not None:
            try:
                process(item)
            except ItemAbandoned:
                return items, True
        take(item)
    return items, False
