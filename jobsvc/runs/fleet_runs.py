"""What a worker of the fleet does with an entry of the queue, and with jobs that have lost theirs.

An entry says that a job has something to do. It is the job's own as long as the
job's row names it, and begins one run at most. Once a worker has begun an entry, the
entry is not given to another one: a stop asks for it to be aborted, and when its run
has left the job queued, or wanting to be rolled back, the job gets a new entry. A worker
that is given up loses its entries (`rescue.py`), and its jobs are found by `recover`
because no entry stands for them. It may be alive still: its lease has ended by then
(`engines/fleet/lease.py`), and its commits are refused (`AttemptLost`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from jobsvc.files.contract import Files
from jobsvc.identifiers import EntryId, JobKey, Priority
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import HOOKS, LEFT_BEHIND, SERVICE, Rollback, State
from jobsvc.jobs.stopping import Queue
from jobsvc.jobs.transition import AHEAD, transition
from jobsvc.kinds.contract import Kind
from jobsvc.runs.crashes import seconds_left
from jobsvc.runs.hooks import tell, tell_aside
from jobsvc.runs.recording import until_recorded
from jobsvc.runs.recovery import leave_behind
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.room_gate import LOOK_SECONDS
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.disk.room import Room
from jobsvc.store.queries import job_rows
from jobsvc.store.queries.sharing import user_rows

log = logging.getLogger(__name__)

JOBS_AT_A_TIME = 100
"""How many lost jobs are settled in one transaction."""


HELD_SECONDS = 2.0
"""How long a job that has to wait for another one waits before it asks again."""


@dataclass(frozen=True)
class Recovered:
    """What one transaction has done with jobs that no entry stood for."""

    found: int
    settled: Sequence[Job]
    """Those whose kinds are to be told."""


def _nothing() -> None:
    """What is done where no job gives way."""


class FleetRuns:
    """Safe to share among threads. With `resume`, interrupted jobs go on by themselves."""

    def __init__(
        self,
        database: Database,
        files: Files,
        kinds: Mapping[str, Kind],
        runner: Runner,
        rollbacks: Rollbacks,
        run_queue: Queue,
        rollback_queue: Queue,
        now: Callable[[], datetime],
        *,
        resume: bool,
        max_crashes: int = 5,
        room: Room | None = None,
    ) -> None:
        self._database = database
        self._files = files
        self._kinds = kinds
        self._runner, self._users = runner, runner.users
        self._rollbacks = rollbacks
        self._run_queue = run_queue
        self._rollback_queue = rollback_queue
        self._now = now
        self._resume = resume
        self._max_crashes = max_crashes
        self._room = room or Room()
        self.make_way: Callable[[], object] = _nothing
        """Have jobs give way to those with a high priority that wait. To be set before the first entry comes."""

    def run(self, key: JobKey, entry: EntryId, signals: Signals) -> None:
        """Wait for room, and run a job, if its entry is the job's own, until it is done or told to stop."""
        while self._room.shortage() is not None and not signals.stop.is_set():
            signals.stop.wait(LOOK_SECONDS)
        job = self._runner.claim_entry(key, entry, partial(self._put_back, self._run_queue))
        if job is not None:
            if job.priority is not Priority.HIGH:
                # A high one may have come since the entry was taken, when this job neither waited nor ran.
                self.make_way()
            self._runner.run(job, signals)
            self._follow_up(key, entry, signals)

    def roll_back(self, key: JobKey, entry: EntryId, signals: Signals) -> None:
        """Roll a job back, if its entry is the job's own, until nothing is left or the worker ends."""
        job = self._rollbacks.claim_entry(key, entry, partial(self._put_back, self._rollback_queue))
        if job is not None:
            self._rollbacks.run(job, signals)
            self._follow_up(key, entry, signals)

    def recover(self) -> int:
        """Settle the jobs that no entry stands for any more, and have them go on. Returns how many there were."""
        found = 0
        while True:
            recovered = self._recover_some()
            self._discard(recovered.settled)
            tell_aside(self._kinds, recovered.settled)
            found += recovered.found
            if recovered.found < JOBS_AT_A_TIME:
                break
        self._fill_places()
        return found

    def _fill_places(self) -> None:
        """Have held jobs go on for which their users have places that nobody has filled."""
        with self._database.read() as connection:
            users = user_rows.who_has_held(connection)
        for user in users:
            while self._fill_places_of(user):
                pass

    @again_on_conflict
    def _fill_places_of(self, user: str) -> bool:
        """Returns whether there may be more."""
        limited = self._users.is_limited
        with self._database.write(urgent=True) as connection:
            if limited:
                going_on = self._users.next_held(connection, user, many=True)
            else:
                going_on = self._users.any_held(connection, user, JOBS_AT_A_TIME)
            self._queue_all(connection, going_on)
        return not limited and len(going_on) == JOBS_AT_A_TIME

    def _queue_all(self, connection: Connection, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._run_queue.queue(connection, job, ahead=job.turn == AHEAD, after=seconds_left(job, self._now()))

    @again_on_conflict
    def _recover_some(self) -> Recovered:
        states = {State.QUEUED, *LEFT_BEHIND} | ({State.INTERRUPTED} if self._resume else set())
        with self._database.write(urgent=True) as connection:
            rows = job_rows.without_entry(connection, states, JOBS_AT_A_TIME)
            why = "its worker was given up"
            settled = [self._settle(connection, Job.from_row(row), why, self._max_crashes) for row in rows]
        return Recovered(len(rows), [job for job in settled if job is not None])

    def _discard(self, settled: Sequence[Job]) -> None:
        for job in settled:
            if job.state is State.TERMINATED:
                self._files.discard_output(job.id)

    def _follow_up(self, key: JobKey, entry: EntryId, signals: Signals) -> None:
        """Have a job go on whose run has ended here, and left it something to do."""

        @again_on_conflict
        def follow_up() -> Job | None:
            with self._database.write(urgent=True) as connection:
                job = Job.from_row(job_rows.by_key(connection, key, lock=True))
                told = self._settle(connection, job, "its run ended") if job.queue_entry == entry else None
                if self._users.is_limited and not self._has_place(connection, job):
                    self._queue_all(connection, self._users.next_held(connection, job.user))
                return told

        settled = until_recorded(follow_up, signals)
        if settled is not None:
            self._discard([settled])
            tell(self._kinds, settled)

    @staticmethod
    def _put_back(queue: Queue, connection: Connection, job: Job) -> None:
        """Another entry for a job that has to wait for another one, which nobody will tell it of."""
        queue.queue(connection, job, ahead=True, after=HELD_SECONDS)

    def _settle(self, connection: Connection, job: Job, why: str, max_crashes: int | None = None) -> Job | None:
        """A job that nobody works on goes where it can go on. Returns it if its kind is to be told of that.

        `max_crashes` is given if its worker may have died of it.
        """
        told = False
        if job.state in LEFT_BEHIND:
            job = leave_behind(connection, job, self._kinds.get(job.kind), self._now(), why, max_crashes)
            told = job.state in HOOKS
        if job.state is State.INTERRUPTED and self._resume:
            transition(connection, job, State.QUEUED, who=SERVICE, at=self._now(), why="another worker may go on")
            job = self._again(connection, job)
        if job.state is State.QUEUED:
            self._run_queue.queue(connection, job, ahead=job.attempt > 0, after=seconds_left(job, self._now()))
        elif job.state is State.TERMINATING and job.rollback == Rollback.WANTED:
            self._rollback_queue.queue(connection, job, ahead=True, after=seconds_left(job, self._now()))
        return job if told else None

    def _has_place(self, connection: Connection, job: Job) -> bool:
        """Whether a job whose run has just left is to go on, and has the place of its run."""
        now = self._again(connection, job)
        return now.state is State.QUEUED and not now.held

    @staticmethod
    def _again(connection: Connection, job: Job) -> Job:
        return Job.from_row(job_rows.by_key(connection, job.key))
