"""Carrying out actions on many jobs, one after the other in the order in which they were asked.

Each step is one transaction: it asks some jobs, takes them off the list, and counts
them. A process that dies has done a step or has not, and the next step is anybody's:
on PostgreSQL, it is made by the process that gets the lock of the action's row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import takewhile

from sqlalchemy import Connection

from jobsvc.deadlines import Deadline, time_limit
from jobsvc.identifiers import ActionKey
from jobsvc.jobs.bulk_action import BulkAction, Skipped, Verb
from jobsvc.jobs.errors import UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import UNDER_WAY, State
from jobsvc.jobs.stopping import Asking, Engine, RollbackEngine, RollbackQueue
from jobsvc.service.actions.beginning import begin
from jobsvc.service.actions.one_job import Outcome, Said, ask_job
from jobsvc.service.lookup import Standing
from jobsvc.service.notifier import Notifier
from jobsvc.service.settling import Settling
from jobsvc.service.steering import Move, Steering
from jobsvc.store import clock
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.queries import action_rows

JOBS_AT_A_TIME = 200
"""How many jobs that don't run are asked in one transaction. On SQLite all other writers wait for it."""

LOCK_SECONDS = 2.0
"""How long to wait for the row of one job."""

PATIENCE_SECONDS = 30.0
"""How long to come back to jobs that were put aside: they are pausing, or others hold their rows."""


class Step(Enum):
    """What came of a step."""

    NOTHING_TO_DO = "nothing to do"
    MADE = "made"
    WAITING = "waiting"
    """For a job, or for another process that is at it."""


@dataclass(frozen=True)
class Left:
    """What is left to do for one job, and how the job stood when that was read."""

    place: int
    aside: bool
    job: Standing

    @property
    def may_run(self) -> bool:
        return self.job.state in UNDER_WAY


@dataclass
class Tally:
    """What a step has done. For one thread alone."""

    moves: list[Move] = field(default_factory=list)
    """Those that were made."""
    already: int = 0
    skipped: Skipped = field(default_factory=Skipped)
    settled: list[int] = field(default_factory=list)
    """The places of all jobs that were asked, or passed over."""
    aside: list[int] = field(default_factory=list)
    """The places of those that can't be asked now."""

    def note(self, place: int, job_id: str, outcome: Outcome, *, last: bool) -> None:
        """`last`: the job is passed over, also for a reason that may pass."""
        if outcome.not_yet and not last:
            self.aside.append(place)
            return
        self.settled.append(place)
        if outcome.move is None:
            self.skipped.note(outcome.why_not, [job_id])
        elif outcome.move.made:
            self.moves.append(outcome.move)
        else:
            self.already += 1


class CarryingOut:
    """For one thread alone. Several processes may have one each: none waits for a step of another's."""

    def __init__(
        self,
        database: Database,
        steering: Steering,
        settling: Settling,
        engine: Engine,
        rollbacks: RollbackEngine,
        notifier: Notifier,
        now: Callable[[], datetime],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._database = database
        self._steering = steering
        self._settling = settling
        self._engine = engine
        self._rollbacks = rollbacks
        self._notifier = notifier
        self._now = now
        self._patience = patience
        self._coming_back: tuple[ActionKey, Deadline] | None = None
        """An action of which only what was put aside is left, and until when to come back to that."""

    def step(self) -> Step:
        """Do some of what is to be done next. It may raise what the database raises; what was done is counted then."""
        with self._database.read() as connection:
            row = action_rows.first_open(connection)
            if row is None:
                return Step.NOTHING_TO_DO
            action = BulkAction.from_row(row)
            rows = action_rows.left(connection, action.key, JOBS_AT_A_TIME)
            others_wait = action_rows.count_open(connection) > 1
        left = [
            Left(row["place"], row["aside"], Standing(row["key"], row["attempt"], row["state"], row["id"]))
            for row in rows
        ]
        if not left:
            return self._begin_or_end(action)
        if left[0].aside:
            return self._come_back(action, left, others_wait)
        if left[0].may_run:
            return self._ask_one(action, left[0])
        return self._ask(action, list(takewhile(lambda one: not one.may_run, left)))

    @again_on_conflict
    def _begin_or_end(self, action: BulkAction) -> Step:
        with self._database.write(urgent=True) as connection:
            row = action_rows.take(connection, action.key)
            if row is None:
                return Step.WAITING
            at = clock.read(connection, self._now)
            if row["begun_at"] is None:
                begin(connection, BulkAction.from_row(row), at)
            elif not action_rows.left(connection, action.key, 1):
                action_rows.change(connection, action.key, {"finished_at": at})
        self._notifier.notify()
        return Step.MADE

    def _come_back(self, action: BulkAction, left: Sequence[Left], others_wait: bool) -> Step:
        """Try again what was put aside. Once the patience is over, what still can't be done is passed over."""
        if self._coming_back is None or self._coming_back[0] != action.key:
            self._coming_back = (action.key, Deadline(self._patience))
        # Jobs that this action can't have must not keep the next one from the others.
        last = others_wait or not self._coming_back[1].left()
        still = [] if last else [one for one in left if one.job.state == State.PAUSING]
        if action.demand.verb is not Verb.RESUME:
            still = []
        steps = [self._ask_one(action, one, last=last) for one in left if one not in still]
        return Step.MADE if Step.MADE in steps else Step.WAITING

    def _ask_one(self, action: BulkAction, one: Left, *, last: bool = False) -> Step:
        """Ask a job that may run, or whose row somebody has locked. Its run takes no further item meanwhile."""
        stops = one.job.state == State.RUNNING and action.demand.verb is not Verb.RESUME
        try:
            with time_limit(LOCK_SECONDS):
                return self._ask(action, [one], running=one.job if stops else None, wait=True, last=last)
        except DatabaseBusy:
            # If others have its row: it is put aside, or passed over. If they have the database, this raises.
            return self._ask(action, [one], last=last)

    def _ask(
        self,
        action: BulkAction,
        some: Sequence[Left],
        *,
        running: Standing | None = None,
        wait: bool = False,
        last: bool = False,
    ) -> Step:
        """Ask some jobs in one transaction, and tell their runs. `wait`: for rows that others have locked."""
        version = self._notifier.version()
        with self._engine.asking(running) as asking, self._rollbacks.asking() as rollbacks:
            tally = self._asked(action.key, some, asking, rollbacks, wait=wait, last=last)
        if tally is None:
            return Step.WAITING
        self._steering.follow(tally.moves)
        for move in tally.moves:
            # Where there is no run any more, nobody else would obey. A rollback is begun by its queue.
            if move.job.rollback is None:
                # One that has ended may have been deleted by now.
                with suppress(UnknownJob):
                    self._settling.settle(move.job, version, Deadline(0))
        self._notifier.notify()
        return Step.MADE if tally.settled or not some[0].aside else Step.WAITING

    @again_on_conflict
    def _asked(
        self,
        key: ActionKey,
        some: Sequence[Left],
        asking: Asking,
        rollbacks: RollbackQueue,
        *,
        wait: bool,
        last: bool,
    ) -> Tally | None:
        """None: another process is at this action."""
        tally = Tally()
        with self._database.write(urgent=True) as connection:
            row = action_rows.take(connection, key)
            if row is None:
                return None
            action = BulkAction.from_row(row)
            said = Said(connection, asking, rollbacks)
            places = action_rows.still_left(connection, key, [one.place for one in some])
            mine = [one for one in some if one.place in places]
            found = action_rows.jobs_of(connection, [one.job.key for one in mine], wait=wait)
            locked = {row["key"]: Job.from_row(row) for row in found}
            for one in mine:
                outcome = ask_job(self._steering, said, action, locked.get(one.job.key))
                tally.note(one.place, one.job.id, outcome, last=last)
            _write(connection, action, tally)
        return tally


def _write(connection: Connection, action: BulkAction, tally: Tally) -> None:
    """Count what was done, and take it off the list."""
    for why, passed in tally.skipped.items():
        action.skipped.note(why, passed.ids, passed.count)
    counted = {
        "done": action.done + len(tally.moves),
        "already": action.already + tally.already,
        "skipped": action.skipped.stored(),
    }
    action_rows.change(connection, action.key, counted)
    action_rows.note_done(connection, action.key, tally.settled)
    if tally.aside:
        action_rows.put_aside(connection, action.key, tally.aside)
