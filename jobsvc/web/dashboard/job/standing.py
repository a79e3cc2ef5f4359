"""Where a job stands, in a sentence that is true: of a stop it tells only once the job has acknowledged it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from markupsafe import Markup, escape

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import Rollback, State
from jobsvc.kinds.contract import Kind
from jobsvc.web.dashboard.presenting import counted, number, time

ROWS = "rows"
"""What items are called where nothing else is known of them."""

MOST_AHEAD = 1000
"""So many jobs are counted that go before one that waits."""


def items_of(job: Job, kinds: Mapping[str, Kind]) -> str:
    """What the items of the job are called, in the plural."""
    kind = kinds.get(job.kind)
    return ROWS if kind is None else kind.items


def looked_at(job: Job) -> int:
    """How many items it has come to: done, also if they were rolled back since, or refused."""
    return job.done + job.taken_back + job.failed


def standing(job: Job, items: str, *, checks: bool, ahead: int | None, recovers: bool, now: datetime) -> Markup:
    """The sentence.

    `checks`: whether it makes nothing. `ahead`: how many queued jobs go before it, None if that is not told.
    `recovers`: whether the service lets interrupted jobs go on by itself.
    """
    return _SENTENCES[job.state](_Told(job, items, checks, ahead, recovers, now))


class _Told:
    """A job, and what is told of it."""

    def __init__(self, job: Job, items: str, checks: bool, ahead: int | None, recovers: bool, now: datetime) -> None:
        self.job, self.items, self.checks, self.ahead, self.recovers = job, items, checks, ahead, recovers
        self.waits_until = job.not_before if job.not_before is not None and job.not_before > now else None

    @property
    def done(self) -> str:
        return counted(self.job.done, self.items)

    @property
    def at(self) -> str:
        """Where it has stopped."""
        count = looked_at(self.job)
        if not count:
            return f"before the first of its {self.items}"
        return f"at {self.items.removesuffix('s')} {number(count)}"

    @property
    def under_way(self) -> str:
        return f"the {self.items} under way are being finished"


def _queued(told: _Told) -> Markup:
    if told.waits_until is not None:
        why = "It waits, since the process that ran it has ended under it."
        return Markup("{} The next attempt is at {}.").format(why, time(told.waits_until))
    more = ""
    if told.ahead is not None:
        known = f"{number(told.ahead)} or more" if told.ahead >= MOST_AHEAD else number(told.ahead)
        others = f"{known} {'job goes' if told.ahead == 1 else 'jobs go'} before it"
        more = f" {others}." if told.ahead else " It is next."
    return escape(f"Waits for a free slot.{more}")


def _running(told: _Told) -> Markup:
    if told.checks:
        return escape("Checking: it looks at everything, and makes nothing.")
    return Markup("Running since {}.").format(time(told.job.started_at))


def _pausing(told: _Told) -> Markup:
    return escape(f"Pausing: {told.under_way}.")


def _paused(told: _Told) -> Markup:
    return escape(f"Stopped {told.at}. Nothing more happens until somebody resumes it.")


def _interrupted(told: _Told) -> Markup:
    goes_on = "It goes on by itself" if told.recovers else "It goes on when somebody resumes it"
    return escape(f"Interrupted by the service. {goes_on}, and no row is lost or done twice.")


def _terminating(told: _Told) -> Markup:
    if told.job.rollback == Rollback.RUNNING:
        return escape(f"Rolling back: {told.done} are left to be removed.")
    if told.job.rollback is not None:
        return escape(f"Rolling back: {told.under_way}, then all is removed.")
    return escape(f"Terminating: {told.under_way}.")


def _terminated(told: _Told) -> Markup:
    if told.job.rolled_back:
        return escape("Rolled back: nothing of it is left.")
    if not told.job.done or told.checks:
        return escape(f"Stopped {told.at}, for good. It has made nothing.")
    return escape(f"Stopped {told.at}, for good. What it has made is still there: {told.done}.")


def _succeeded(told: _Told) -> Markup:
    if told.checks:
        return Markup("Checked: all was looked at, and nothing was made. It ended at {}.").format(
            time(told.job.finished_at)
        )
    refused = f", {number(told.job.failed)} refused" if told.job.failed else ""
    return Markup("Finished at {}: {} done{}.").format(time(told.job.finished_at), told.done, refused)


def _failed(told: _Told) -> Markup:
    made = "" if told.checks else f" {told.done} {'is' if told.job.done == 1 else 'are'} done."
    return escape(f"Failed {told.at}.{made}")


_SENTENCES: dict[str, Callable[[_Told], Markup]] = {
    "queued": _queued,
    "running": _running,
    "pausing": _pausing,
    "paused": _paused,
    "interrupted": _interrupted,
    "terminating": _terminating,
    "terminated": _terminated,
    "succeeded": _succeeded,
    "failed": _failed,
}
"""By state."""

assert set(_SENTENCES) == set(State)
