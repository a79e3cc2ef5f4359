"""Steering jobs: pause, resume, terminate, roll back. What is asked for is written, and then waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection

from jobsvc.deadlines import MIN_SECONDS, Deadline, time_limit
from jobsvc.identifiers import ActionKey
from jobsvc.jobs.errors import CantRollBack, NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import STOPPING, UNDER_WAY, Action, Rollback, State, reason
from jobsvc.jobs.stopping import Asking, Engine, RollbackEngine, RollbackQueue
from jobsvc.jobs.transition import transition
from jobsvc.kinds.contract import Kind
from jobsvc.runs.crashes import NO_CRASH
from jobsvc.runs.sharing.turns import next_turn
from jobsvc.service.auditing.noting import OF_ACTION, note
from jobsvc.service.lookup import Lookup, Standing, find
from jobsvc.service.notifier import Notifier
from jobsvc.service.settling import Settling
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DiskFull
from jobsvc.store.queries import job_rows

T = TypeVar("T")


@dataclass(frozen=True)
class Via:
    """The action on many jobs by which a job is asked."""

    key: ActionKey
    id: str


@dataclass(frozen=True)
class Request:
    """What somebody asks of a job."""

    job_id: str
    action: Action
    who: str
    via: Via | None = None

    def is_allowed(self, state: str) -> bool:
        return state in self.action.moves

    def after(self, job: Job) -> State | None:
        """Where the action takes the job; None: it is there, or on its way. Raises NotAllowed."""
        if not self.is_allowed(job.state):
            raise NotAllowed(job.id, job.state, self.action)
        return self.action.moves[job.state]

    def why(self, why: str) -> str:
        """What the job's history is to say."""
        return why if self.via is None else f"{why}; by action {self.via.id}"

    def mark(self, after: State) -> dict[str, Any]:
        """The column that says which action has stopped a job, if one has."""
        return {"stopped_by": None if self.via is None or after is State.QUEUED else self.via.key}


class Move(NamedTuple):
    """A job as it stands after a request, and whether it was the request that took it there."""

    job: Job
    made: bool


class Steering:
    """Safe to share among threads: what it changes, it changes by compare-and-set in the database."""

    def __init__(
        self,
        database: Database,
        lookup: Lookup,
        settling: Settling,
        kinds: Mapping[str, Kind],
        engine: Engine,
        rollbacks: RollbackEngine,
        notifier: Notifier,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._lookup = lookup
        self._settling = settling
        self._kinds = kinds
        self._engine = engine
        self._rollbacks = rollbacks
        self._notifier = notifier
        self._now = now

    def pause(self, job_id: str, who: str, wait: float) -> Job:
        """Ask for a pause and wait up to `wait` seconds for it, and for the database.

        The job that is returned is `pausing` if its run has yet to obey; it may have
        succeeded or failed, if the pause met its last row (see `runs/ending.py`). Pausing a paused job is harmless.
        Raises UnknownJob, NotAllowed; DatabaseBusy if nothing was asked for.
        """
        with at_most(wait) as until:
            return self._stop(Request(job_id, Action.PAUSE, who), until)

    def resume(self, job_id: str, who: str, wait: float) -> Job:
        """Queue a job that was paused, interrupted or failed again, at its cursor.

        A job that is on its way to paused is waited for, up to `wait` seconds.
        Resuming a job that is queued or runs is harmless. Raises UnknownJob, NotAllowed.
        """
        with at_most(wait) as until:
            version = self._notifier.version()
            job = self._lookup.get(job_id)
            if job.state is State.PAUSING:
                job = self._settling.settle(job, version, until)
            if job.state is State.PAUSING:
                raise NotAllowed(job_id, job.state, Action.RESUME)
            with self._engine.asking() as asking:
                move = self._moved(asking, Request(job_id, Action.RESUME, who))
            self.follow([move])
            return move.job

    def terminate(self, job_id: str, who: str, wait: float, *, rollback: bool = False) -> Job:
        """End a job for good, and wait up to `wait` seconds for its run to stop, and for the database.

        With `rollback`, everything that it has made is removed before it counts as
        terminated; a job that has finished already can be rolled back too. The job
        that is returned is `terminating` while any of this is still under way.
        Terminating a terminated job is harmless. Raises UnknownJob, NotAllowed, CantRollBack;
        DatabaseBusy if nothing was asked for.
        """
        with at_most(wait) as until:
            if rollback:
                return self._roll_back(Request(job_id, Action.TERMINATE_AND_ROLL_BACK, who), until)
            return self._stop(Request(job_id, Action.TERMINATE, who), until)

    def roll_back(self, job_id: str, who: str, wait: float) -> Job:
        """Remove everything that a finished job has made. Raises UnknownJob, NotAllowed, CantRollBack."""
        with at_most(wait) as until:
            return self._roll_back(Request(job_id, Action.ROLL_BACK, who), until)

    def _stop(self, request: Request, until: Deadline) -> Job:
        """Write what is asked of a job, and wait until it is obeyed."""
        version = self._notifier.version()
        move = self._ask(request, lambda asking: self._moved(asking, request))
        self.follow([move])
        return self._settling.settle(move.job, version, until)

    def _ask(self, request: Request, write: Callable[[Asking], T]) -> T:
        """Write what is asked of a job. Its run is told before, since the database may be slow to take it, or full."""
        with self._engine.asking(self._to_hold(request) if self._engine.tells_ahead else None) as asking:
            try:
                return write(asking)
            except DiskFull:
                # There is the room of the reserve now, if there was one.
                return write(asking)

    def _to_hold(self, request: Request) -> Standing | None:
        """The run that is to take no item while something is asked of it."""
        standing = self._lookup.standing(request.job_id)
        # One that was asked already is not held again: requests without end would keep its run from obeying.
        return standing if standing.state == State.RUNNING and request.is_allowed(standing.state) else None

    @again_on_conflict
    def _moved(self, asking: Asking, request: Request) -> Move:
        with self._database.write(urgent=True) as connection:
            return self.move(connection, asking, find(connection, request.job_id, lock=True), request)

    def move(self, connection: Connection, asking: Asking, job: Job, request: Request) -> Move:
        """Take a job, whose row is locked, where the action takes it. Raises NotAllowed, with nothing changed."""
        after = request.after(job)
        if after is None:
            self._take_from_action(connection, job, request)
            self._note(connection, request, already=True)
            return Move(job, made=False)
        values: dict[str, Any] = request.mark(after)
        if after is State.QUEUED:
            if job.files_removed_at is not None:
                raise NotAllowed(job.id, job.state, f"{request.action}, since its files were removed")
            turn = next_turn(connection, job.user, job.priority)
            values |= {"queued_at": self._now(), "turn": turn, "error": None, **NO_CRASH}
        why = request.why(reason(job.state, after))
        moved = transition(connection, job, after, who=request.who, at=self._now(), why=why, **values)
        self._note(connection, request, already=moved is None)
        if moved is None:
            return Move(job, made=False)
        if after is State.QUEUED:
            asking.queue(connection, moved)
        else:
            asking.stop(connection, job, for_good=after is State.TERMINATING)
        if after is State.TERMINATING and job.state not in UNDER_WAY:
            moved = self._settling.end_request(connection, moved) or moved
        return Move(moved, made=True)

    def _take_from_action(self, connection: Connection, job: Job, request: Request) -> None:
        """Who asks a job to pause that an action has paused means it, whatever becomes of the action's others."""
        if request.action is Action.PAUSE and request.via is None and job.stopped_by is not None:
            job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values={"stopped_by": None})

    def _note(self, connection: Connection, request: Request, *, already: bool) -> None:
        """Note it in the audit. An action on many jobs has one line for all: the history of each names it."""
        if request.via is None:
            act = OF_ACTION[request.action]
            note(connection, act, request.job_id, by=request.who, at=self._now(), already=already)

    def follow(self, moves: Sequence[Move]) -> None:
        """What follows when a transaction has moved jobs, after its commit."""
        made = [move.job for move in moves if move.made]
        # What waits for a job that was asked to stop waits until it has stopped: there is nothing to tell yet.
        if any(job.state not in STOPPING for job in made):
            self._notifier.notify()
        self._settling.tell([job for job in made if job.state is State.TERMINATED])

    def _roll_back(self, request: Request, until: Deadline) -> Job:
        """Write that a job is to be rolled back, and wait until it is."""
        version = self._notifier.version()
        with self._rollbacks.asking() as rollbacks:
            job = self._ask(request, lambda asking: self._asked_for_rollback(asking, rollbacks, request))
        return self._settling.settle(job, version, until)

    @again_on_conflict
    def _asked_for_rollback(self, asking: Asking, rollbacks: RollbackQueue, request: Request) -> Job:
        with self._database.write(urgent=True) as connection:
            job = find(connection, request.job_id, lock=True)
            self.move_to_rollback(connection, asking, rollbacks, job, request)
            return find(connection, request.job_id)

    def move_to_rollback(
        self, connection: Connection, asking: Asking, rollbacks: RollbackQueue, job: Job, request: Request
    ) -> bool:
        """Write that a job, whose row is locked, is to be rolled back. Returns False if that is so already.

        Raises NotAllowed and CantRollBack, with nothing changed.
        """
        after = request.after(job)
        if job.rolled_back or job.rollback is not None:
            self._note(connection, request, already=True)
            return False
        if job.kind not in self._kinds or not self._kinds[job.kind].can_undo:
            raise CantRollBack(job.id, job.kind)
        values: dict[str, Any] = {"rollback": Rollback.WANTED, **request.mark(State.TERMINATING), **NO_CRASH}
        if after is None:
            job_rows.change(connection, job.key, attempt=job.attempt, state=job.state, values=values)
        else:
            values |= {"rollback_total": None}
            why = request.why("rollback was asked for")
            transition(connection, job, after, who=request.who, at=self._now(), why=why, **values)
        self._note(connection, request, already=False)
        asking.stop(connection, job, for_good=True)
        rollbacks.queue(connection, job, when_left=job.state in UNDER_WAY)
        return True


@contextmanager
def at_most(wait: float) -> Iterator[Deadline]:
    """Until when to wait for a run, and as a bound on all that the block does in the database."""
    until = Deadline(wait)
    with time_limit(max(wait, MIN_SECONDS)):
        yield until
