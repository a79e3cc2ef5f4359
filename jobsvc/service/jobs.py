"""What clients may ask of jobs: submit, look, pause, resume, terminate."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from jobsvc.deadlines import MIN_SECONDS, REQUEST_SECONDS, Deadline, time_limit
from jobsvc.deadlines import left as time_left
from jobsvc.files import job_ids
from jobsvc.files.contract import Files
from jobsvc.jobs.engines import Asking, Engine, RollbackEngine, RollbackQueue
from jobsvc.jobs.errors import CantRollBack, KeyReused, NotAllowed, QueueFull, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, SERVICE, UNDER_WAY, State
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.runs.checkpoint import clean_up_terminated
from jobsvc.runs.crashes import NO_CRASH
from jobsvc.runs.hooks import tell
from jobsvc.runs.rollback import Rollback
from jobsvc.service.long_waits import LongWaits
from jobsvc.service.new_job import NewJob
from jobsvc.service.notifier import Notifier
from jobsvc.store import clock
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy, DiskFull
from jobsvc.store.queries import event_rows, idempotency_rows, job_rows, webhook_rows

PAGE_CHARACTERS = 1024 * 1024
"""About how much a page of jobs has at most."""

MAX_LINES = 500
"""How much of a job's history is read at once."""

_SETTLED = {State.PAUSING: State.PAUSED, State.TERMINATING: State.TERMINATED}
"""Where a request ends that waits for a run."""


T = TypeVar("T")


class JobService:
    """Safe to share among threads: what it changes, it changes by compare-and-set in the database."""

    def __init__(
        self,
        database: Database,
        files: Files,
        kinds: Mapping[str, Kind],
        engine: Engine,
        rollbacks: RollbackEngine,
        notifier: Notifier,
        now: Callable[[], datetime],
        *,
        max_queued: int,
        idempotency_hours: float,
    ) -> None:
        self._database = database
        self._files = files
        self._kinds = kinds
        self._engine = engine
        self._rollbacks = rollbacks
        self._notifier = notifier
        self._now = now
        self._max_queued = max_queued
        self._remembered = timedelta(hours=idempotency_hours)
        self._long_waits = LongWaits()

    def new_id(self, user: str, kind: str) -> str:
        """An id for a job to be. The unique column `jobs.id` holds it to its promise."""
        return job_ids.make(user, kind, self._now(), secrets.randbelow(job_ids.MAX_NUMBERS))

    def submit(self, new: NewJob) -> Job:
        """Queue a new job, or return the one that the same request made before.

        Raises QueueFull, and KeyReused for an idempotency key that stood for
        another request.
        """
        # However long the upload has taken.
        with time_limit(REQUEST_SECONDS):
            try:
                return self._submit(new)
            except IntegrityError:
                if new.idempotency is None:
                    raise
                # On PostgreSQL a twin of the request has used the key since it was looked for.
                return self._submit(new)

    def _submit(self, new: NewJob) -> Job:
        with self._engine.asking() as asking:
            return self._found_or_made(asking, new)

    @again_on_conflict
    def _found_or_made(self, asking: Asking, new: NewJob) -> Job:
        # What a full disk has in reserve is not for new work.
        with self._database.write(urgent=True, reserve=False) as connection:
            job = self._made_before(connection, new)
            if job is not None:
                return job
            # On PostgreSQL others may be submitting too: the limit may be passed by as many.
            if job_rows.count_in_state(connection, State.QUEUED) >= self._max_queued:
                raise QueueFull(self._max_queued)
            return self._insert(connection, asking, new)

    def _made_before(self, connection: Connection, new: NewJob) -> Job | None:
        if new.idempotency is None:
            return None
        since = clock.read(connection, self._now) - self._remembered
        idempotency_rows.forget_before(connection, new.user, new.idempotency.key, since)
        found = idempotency_rows.find(connection, new.user, new.idempotency.key)
        if found is None:
            return None
        if found["fingerprint"] != new.idempotency.fingerprint:
            raise KeyReused(new.idempotency.key)
        return Job.from_row(job_rows.by_key(connection, found["job_key"]))

    def _insert(self, connection: Connection, asking: Asking, new: NewJob) -> Job:
        now = self._now()
        values = {
            "id": new.id,
            "kind": new.kind,
            "user": new.user,
            "params": dict(new.params),
            "warnings": list(new.warnings),
            "filename": new.filename,
            "callback_url": new.callback_url,
            "state": State.QUEUED,
            "created_at": now,
            "queued_at": now,
        }
        key = job_rows.add(connection, values)
        why = "the job was submitted"
        event_rows.add(connection, key, at=now, before=None, after=State.QUEUED, who=new.user, why=why)
        if new.idempotency is not None:
            idempotency_rows.remember(
                connection,
                new.user,
                new.idempotency.key,
                new.idempotency.fingerprint,
                job_key=key,
                at=clock.read(connection, self._now),
            )
        job = Job.from_row(job_rows.by_key(connection, key))
        asking.queue(connection, job)
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
            found = job_rows.page(connection, limit=limit + 1, after=after, state=state, kind=kind, user=user)
            jobs: list[Job] = []
            characters = 0
            with found as rows:
                for row in rows.mappings():
                    if len(jobs) == limit or characters > PAGE_CHARACTERS:
                        return jobs, jobs[-1].key
                    job = Job.from_row(row)
                    jobs.append(job)
                    characters += len(str(job.params)) + len(job.error or "") + len(job.filename or "")
        return jobs, None

    def events(self, job_id: str, after: int = 0, limit: int = MAX_LINES) -> Sequence[RowMapping]:
        """A job's history after the event `after`, oldest first. Raises UnknownJob."""
        with self._database.read() as connection:
            return event_rows.of_job(connection, self._find(connection, job_id).key, after, limit)

    def webhooks(self, job_id: str, after: int = 0, limit: int = MAX_LINES) -> Sequence[RowMapping]:
        """What was or is to be sent to a job's callback URL, behind the message `after`, oldest first.

        Raises UnknownJob.
        """
        with self._database.read() as connection:
            return webhook_rows.of_job(connection, self._find(connection, job_id).key, after, limit)

    def pause(self, job_id: str, who: str, wait: float) -> Job:
        """Ask for a pause and wait up to `wait` seconds for it, and for the database.

        The job that is returned is `pausing` if its run has yet to obey; it may
        also have finished with its last item. Pausing a paused job is harmless.
        Raises UnknownJob, NotAllowed; DatabaseBusy if nothing was asked for.
        """
        moves = {
            State.RUNNING: State.PAUSING,
            State.QUEUED: State.PAUSED,
            State.INTERRUPTED: State.PAUSED,
            State.PAUSING: None,
            State.PAUSED: None,
        }
        with _at_most(wait) as until:
            return self._settle(self._stop(job_id, who, moves, "paused"), until)

    def resume(self, job_id: str, who: str, wait: float) -> Job:
        """Queue a job that was paused, interrupted or failed again, at its cursor.

        A job that is on its way to paused is waited for, up to `wait` seconds.
        Resuming a job that is queued or runs is harmless. Raises UnknownJob, NotAllowed.
        """
        moves = {
            State.PAUSED: State.QUEUED,
            State.INTERRUPTED: State.QUEUED,
            State.FAILED: State.QUEUED,
            State.QUEUED: None,
            State.RUNNING: None,
        }
        with _at_most(wait) as until:
            job = self.get(job_id)
            if job.state is State.PAUSING:
                job = self._settle(job, until)
            if job.state is State.PAUSING:
                raise NotAllowed(job_id, job.state, "resumed")
            again = {"queued_at": self._now(), "error": None, **NO_CRASH}
            with self._engine.asking() as asking:
                job, moved = self._moved(asking, job_id, who, moves, "resumed", **again)
            if moved:
                self._notifier.notify()
            return job

    def terminate(self, job_id: str, who: str, wait: float, *, rollback: bool = False) -> Job:
        """End a job for good, and wait up to `wait` seconds for its run to stop, and for the database.

        With `rollback`, everything that it has made is removed before it counts as
        terminated; a job that has finished already can be rolled back too. The job
        that is returned is `terminating` while any of this is still under way.
        Terminating a terminated job is harmless. Raises UnknownJob, NotAllowed, CantRollBack;
        DatabaseBusy if nothing was asked for.
        """
        with _at_most(wait) as until:
            return self._terminate(job_id, who, until, rollback=rollback)

    def _terminate(self, job_id: str, who: str, until: Deadline, *, rollback: bool) -> Job:
        moves = {
            State.QUEUED: State.TERMINATING,
            State.RUNNING: State.TERMINATING,
            State.PAUSING: State.TERMINATING,
            State.PAUSED: State.TERMINATING,
            State.INTERRUPTED: State.TERMINATING,
            State.TERMINATING: None,
            State.TERMINATED: None,
        }
        if not rollback:
            return self._settle(self._stop(job_id, who, moves, "terminated"), until)
        ended = {
            State.SUCCEEDED: State.TERMINATING,
            State.FAILED: State.TERMINATING,
            State.TERMINATED: State.TERMINATING,
        }
        return self._settle(self._ask_for_rollback(job_id, who, moves | ended), until)

    def roll_back(self, job_id: str, who: str, wait: float) -> Job:
        """Remove everything that a finished job has made. Raises UnknownJob, NotAllowed, CantRollBack."""
        with _at_most(wait) as until:
            state = self.get(job_id).state
            if state not in (*FINISHED, State.TERMINATING):
                raise NotAllowed(job_id, state, "rolled back before it is terminated")
            return self._terminate(job_id, who, until, rollback=True)

    def _ask(self, job_id: str, ask: Callable[[Asking], T]) -> T:
        """Write what is asked of a job. Its run is told before, since the database may be slow to take it, or full."""
        job = self.get(job_id)
        # One that was asked already is not held again: requests without end would keep its run from obeying.
        with self._engine.asking(job if job.state is State.RUNNING else None) as asking:
            try:
                return ask(asking)
            except DiskFull:
                # There is the room of the reserve now, if there was one.
                return ask(asking)

    def _ask_for_rollback(self, job_id: str, who: str, moves: Mapping[State, State | None]) -> Job:
        with self._rollbacks.asking() as rollbacks:
            return self._ask(job_id, lambda asking: self._asked_for_rollback(asking, rollbacks, job_id, who, moves))

    @again_on_conflict
    def _asked_for_rollback(
        self, asking: Asking, rollbacks: RollbackQueue, job_id: str, who: str, moves: Mapping[State, State | None]
    ) -> Job:
        with self._database.write(urgent=True) as connection:
            job = self._find(connection, job_id, lock=True)
            if job.rolled_back or job.rollback is not None:
                return job
            if job.kind not in self._kinds or not self._kinds[job.kind].can_undo:
                raise CantRollBack(job.id, job.kind)
            values: dict[str, Any] = {"rollback": Rollback.WANTED, **NO_CRASH}
            if job.state is State.TERMINATING:
                job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
            else:
                after = moves[job.state]
                assert after is not None
                values |= {"rollback_total": None}
                transition(connection, job, after, who=who, at=self._now(), why="rollback was asked for", **values)
            asking.stop(connection, job, for_good=True)
            rollbacks.queue(connection, job, when_left=job.state in UNDER_WAY)
            return self._find(connection, job_id)

    def _find(self, connection: Connection, job_id: str, *, lock: bool = False) -> Job:
        # A lone surrogate can't even be asked for.
        row = job_rows.by_id(connection, job_id, lock=lock) if job_id.isprintable() else None
        if row is None:
            raise UnknownJob(job_id)
        return Job.from_row(row)

    def _stop(self, job_id: str, who: str, moves: Mapping[State, State | None], action: str) -> Job:
        """Take a job where `moves` says for its state (None: leave it), and return it."""
        job, moved = self._ask(job_id, lambda asking: self._moved(asking, job_id, who, moves, action))
        if moved:
            self._notifier.notify()
        if moved and job.state is State.TERMINATED:
            self._tell(job)
        return job

    @again_on_conflict
    def _moved(
        self,
        asking: Asking,
        job_id: str,
        who: str,
        moves: Mapping[State, State | None],
        action: str,
        **values: Any,
    ) -> tuple[Job, bool]:
        """The job, and whether it was moved."""
        with self._database.write(urgent=True) as connection:
            job = self._find(connection, job_id, lock=True)
            if job.state not in moves:
                raise NotAllowed(job_id, job.state, action)
            after = moves[job.state]
            if after is None:
                return job, False
            if after is State.QUEUED and job.files_removed_at is not None:
                raise NotAllowed(job_id, job.state, f"{action}, since its files were removed")
            transition(connection, job, after, who=who, at=self._now(), **values)
            if after is State.QUEUED:
                asking.queue(connection, job)
            else:
                asking.stop(connection, job, for_good=after is State.TERMINATING)
            if after is State.TERMINATING and job.state not in UNDER_WAY:
                self._end_request(connection, self._find(connection, job_id))
            return self._find(connection, job_id), True

    def _settle(self, job: Job, until: Deadline) -> Job:
        """Wait for a job that is pausing or terminating to get there; if it has no run, obey for it.

        What was asked for stands in the database: if that is locked now, the job is returned as it was last seen.
        """
        try:
            with self._long_waits.bounded(until) as bound:
                return self._settled(job, bound)
        except DatabaseBusy:
            return job

    def _settled(self, job: Job, until: Deadline) -> Job:
        while True:
            version = self._notifier.version()
            job = self.get(job.id)
            if job.state not in _SETTLED:
                return job
            if job.rollback is None and not self._engine.signal(job.key, job.attempt):
                ended = self._ended(job)
                if ended is not None:
                    self._tell(ended)
                self._notifier.notify()
            elif not self._notifier.wait(version, until.left()):
                return self.get(job.id)

    @again_on_conflict
    def _ended(self, seen: Job) -> Job | None:
        """Obey for a job that has no run. Returns it if it was this that ended what was asked for."""
        with self._database.write(urgent=True) as connection:
            job = self._find(connection, seen.id, lock=True)
            mine = job.attempt == seen.attempt and self._end_request(connection, job)
            return self._find(connection, seen.id) if mine else None

    def _tell(self, job: Job) -> None:
        """Do what follows on this transaction's having paused or terminated a job.

        It is waited for as long as the request may wait. A store that hangs, or a hook
        that takes its time, goes on without it.
        """

        def follow() -> None:
            if job.state is State.TERMINATED:
                self._files.discard_output(job.id)
            tell(self._kinds, job)

        aside = Thread(target=follow, name="jobsvc-told", daemon=True)
        aside.start()
        left = time_left()
        aside.join(REQUEST_SECONDS if left is None else left)

    def _end_request(self, connection: Connection, job: Job) -> bool:
        """End what was asked of a job that has no run; returns whether there was anything to end."""
        if job.state not in _SETTLED or job.rollback is not None:
            return False
        why = "nothing was running, so there was nothing to wait for"
        after = _SETTLED[job.state]
        ended = transition(connection, job, after, who=SERVICE, at=self._now(), why=why)
        if ended and after is State.TERMINATED:
            clean_up_terminated(connection, self._kinds.get(job.kind), job.key)
        return ended


@contextmanager
def _at_most(wait: float) -> Iterator[Deadline]:
    """Until when to wait for a run, and as a bound on all that the block does in the database."""
    until = Deadline(wait)
    with time_limit(max(wait, MIN_SECONDS)):
        yield until
