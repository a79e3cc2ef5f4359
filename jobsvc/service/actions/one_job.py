"""What an action on many jobs does with one of them, in the transaction of a step."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from jobsvc.jobs.bulk_action import BulkAction, Verb, not_allowed
from jobsvc.jobs.errors import CantRollBack, NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import Rollback, State
from jobsvc.jobs.stopping import Asking, RollbackQueue
from jobsvc.service.steering import Move, Request, Steering, Via

PAUSING = "it was pausing still: resume it when it is paused"
LOCKED = "others kept its row locked: ask again"
DELETED = "it was deleted meanwhile"
TAKEN = "somebody has paused or resumed it since"


class Said(NamedTuple):
    """What a transaction is said with."""

    connection: Connection
    asking: Asking
    rollbacks: RollbackQueue


class Outcome(NamedTuple):
    """What came of asking: a move, which may have been made already, or a reason for passing the job over."""

    move: Move | None
    why_not: str = ""
    not_yet: bool = False
    """Whether the reason may pass."""


def ask_job(steering: Steering, said: Said, action: BulkAction, job: Job | None) -> Outcome:
    """Ask a job as a request for it alone would. `job` is its locked row; None: another transaction has it."""
    if job is None:
        return Outcome(None, LOCKED, not_yet=True)
    if job.state is State.PAUSING and action.demand.verb is Verb.RESUME:
        return Outcome(None, PAUSING, not_yet=True)
    if why_not := _why_not(action, job):
        return Outcome(None, why_not)
    request = Request(job.id, action.demand.action, action.user, Via(action.key, action.id))
    try:
        return Outcome(_moved(steering, said, job, request, rollback=action.demand.rolls_back))
    except NotAllowed as error:
        return Outcome(None, not_allowed(error.state, error.action))
    except CantRollBack:
        return Outcome(None, f"its kind {job.kind} has no undo")


def _why_not(action: BulkAction, job: Job) -> str:
    if job.deleted_at is not None:
        return DELETED
    if action.paused_by is not None and job.stopped_by != action.paused_by:
        return TAKEN
    return job.unreadable


def _moved(steering: Steering, said: Said, job: Job, request: Request, *, rollback: bool) -> Move:
    if not rollback:
        return steering.move(said.connection, said.asking, job, request)
    made = steering.move_to_rollback(said.connection, said.asking, said.rollbacks, job, request)
    return Move(job.changed({"state": State.TERMINATING, "rollback": Rollback.WANTED}) if made else job, made)
