"""Which buttons a job has for somebody: those alone that its state allows, and that they have the right to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jobsvc.access.acts import Act
from jobsvc.access.caller import Caller
from jobsvc.access.roles import Right
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import FINISHED, Action, State
from jobsvc.kinds.contract import Kind
from jobsvc.web.browsers.outcomes import OUTCOMES, Outcome


class Button(NamedTuple):
    """A button that asks something of a job, by the route `POST /jobs/<id>/<name>`."""

    name: str
    label: str
    icon: str
    outcome: Outcome
    question: str = ""
    """What is asked before, where it can't be taken back."""

    @property
    def is_grave(self) -> bool:
        return bool(self.question)


PAUSE = Button("pause", "Pause", "pause", OUTCOMES[Act.PAUSE])
RESUME = Button("resume", "Resume", "play", OUTCOMES[Act.RESUME])
TERMINATE = Button(
    "terminate",
    "Terminate",
    "square",
    OUTCOMES[Act.TERMINATE],
    "It stops for good and can't be resumed. What it has made so far stays, until you roll it back.",
)
ROLL_BACK = Button(
    "rollback", "Roll back", "undo-2", OUTCOMES[Act.ROLL_BACK], "Everything that it has made is removed for good."
)

_ASKS = {PAUSE: Action.PAUSE, RESUME: Action.RESUME, TERMINATE: Action.TERMINATE, ROLL_BACK: Action.ROLL_BACK}


def buttons(job: Job, caller: Caller, kinds: Mapping[str, Kind]) -> list[Button]:
    """In the order in which they are shown. A job whose files were removed can't go on."""
    if Right.STEER not in caller.role.rights or not caller.scope.covers(job.user):
        return []
    found = [button for button, action in _ASKS.items() if action.moves.get(job.state) is not None]
    if not can_roll_back(job, kinds):
        found = [button for button in found if button is not ROLL_BACK]
    if job.files_removed_at is not None:
        found = [button for button in found if button is not RESUME]
    return found


def is_check(job: Job, kinds: Mapping[str, Kind]) -> bool:
    """Whether the job only finds out what it would do."""
    kind = kinds.get(job.kind)
    return kind is not None and kind.is_dry_run(job.params)


def can_roll_back(job: Job, kinds: Mapping[str, Kind]) -> bool:
    """Whether there is something of the job that could be removed, and its kind can do so."""
    kind = kinds.get(job.kind)
    undone = job.rolled_back or job.rollback is not None
    return kind is not None and kind.can_undo and not undone and not kind.is_dry_run(job.params)


def can_apply(job: Job, caller: Caller, kinds: Mapping[str, Kind]) -> bool:
    """Whether a job that does what this one has checked would be taken, and would do something."""
    may = Right.START in caller.role.rights and (caller.kinds is None or job.kind in caller.kinds)
    if not may or not is_check(job, kinds) or job.state is not State.SUCCEEDED or not job.done:
        return False
    return job.files_removed_at is None and (job.file is not None or not kinds[job.kind].takes_file)


def can_delete(job: Job, caller: Caller) -> bool:
    """Whether the job can be forgotten."""
    return Right.STEER in caller.role.rights and caller.scope.covers(job.user) and job.state in FINISHED
