"""What one caller may ask: all that the services do, of the jobs that are there for it.

The one place that decides this. Whose a job is never changes, so it is looked up
before whatever is asked, and only for callers that don't see everybody's jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import RowMapping

from jobsvc.access import trail
from jobsvc.access.caller import Caller
from jobsvc.access.errors import Forbidden
from jobsvc.files.contract import Result
from jobsvc.identifiers import Priority
from jobsvc.jobs.bulk_action import BulkAction, Demand, Preview
from jobsvc.jobs.errors import UnknownAction, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.service.actions.asking import ActionPage, Actions, NewAction
from jobsvc.service.checking.applying import Wish
from jobsvc.service.following.follower import Followed, Follower
from jobsvc.service.following.place import Place
from jobsvc.service.following.unless import Unless
from jobsvc.service.jobs import JobService
from jobsvc.service.limits.quotas import Allowance
from jobsvc.service.lookup import JobPage, Listed, LogPage, Recent
from jobsvc.service.monitoring.overview import Count, Overview
from jobsvc.service.new_job import Idempotency, NewJob
from jobsvc.service.pruner import Pruner
from jobsvc.service.results import RecordPage, RecordPlace, Results, TeamPage


class Authorized:
    """Made for each request. Another user's job is unknown to it, as if it weren't there."""

    def __init__(
        self,
        caller: Caller,
        jobs: JobService,
        actions: Actions,
        results: Results,
        pruner: Pruner,
        follower: Follower,
        overview: Overview,
    ) -> None:
        self._caller, self._scope = caller, caller.scope
        self._jobs, self._actions, self._results, self._pruner = jobs, actions, results, pruner
        self._follower, self._overview = follower, overview

    # Jobs

    def new_id(self, kind: str) -> str:
        """An id for a job of this kind to be. Raises Forbidden."""
        self._caller.check_kind(kind)
        return self._jobs.new_id(self._caller.user, kind)

    def before_upload(self, idempotency_key: str | None, least: int) -> Allowance:
        """See `Quotas.before_upload`."""
        return self._jobs.quotas.before_upload(self._caller.user, idempotency_key, least)

    def submit(self, new: NewJob) -> Job:
        """See `Submission.submit`. The job reads what is there for the caller."""
        self._caller.check_kind(new.kind)
        self._caller.check_priority(new.priority)
        return self._jobs.submit(replace(new, scope=self._scope.owner))

    def apply(self, job_id: str, priority: Priority, callback_url: str | None, idempotency: Idempotency | None) -> Job:
        """See `Applying.apply`. Raises UnknownJob, Forbidden."""
        job = self.get(job_id)
        self._caller.check_kind(job.kind)
        self._caller.check_priority(priority)
        wish = Wish(self._caller.user, self._scope.owner, callback_url, priority, idempotency)
        return self._jobs.apply(job, wish)

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        job = self._jobs.get(job_id)
        if not self._scope.covers(job.user):
            trail.note_foreign(job_id)
            raise UnknownJob(job_id)
        return job

    def _check(self, job_id: str) -> None:
        if self._scope.owner is not None:
            self.get(job_id)

    def page(self, listed: Listed, *, limit: int, after: int | None) -> JobPage:
        """See `Lookup.page`."""
        if listed.user is not None and not self._scope.covers(listed.user):
            return JobPage([], None)
        return self._jobs.page(replace(listed, user=listed.user or self._scope.owner), limit=limit, after=after)

    def counts(self) -> Mapping[str, Count]:
        """How many jobs there are in each state. See `Overview.counts`."""
        return self._overview.counts(self._scope.owner)

    def events(self, job_id: str, after: int = 0) -> Sequence[RowMapping]:
        """See `Lookup.events`."""
        self._check(job_id)
        return self._jobs.events(job_id, after)

    def log(self, job_id: str, after: int, limit: int) -> LogPage:
        """See `Lookup.log`."""
        self._check(job_id)
        return self._jobs.log(job_id, after, limit)

    def webhooks(self, job_id: str, after: int = 0) -> Sequence[RowMapping]:
        """See `Lookup.webhooks`."""
        self._check(job_id)
        return self._jobs.webhooks(job_id, after)

    def recent(self, job: Job, *, events: int, lines: int, webhooks: int) -> Recent:
        """See `Lookup.recent`; of a job that `get` has given."""
        return self._jobs.recent(job, events=events, lines=lines, webhooks=webhooks)

    def told(self, job: Job) -> tuple[object, ...]:
        """See `Lookup.told`; of a job that `get` has given."""
        return self._jobs.told(job)

    def ahead(self, job: Job, most: int) -> int | None:
        """See `Lookup.ahead`; None for callers whom others' jobs don't concern."""
        return self._jobs.ahead(job, most) if self._scope.owner is None else None

    def follow(self, job_id: str, unless: Unless, wait: float, place: Place | None = None) -> Followed:
        """See `Follower.follow`."""
        self._check(job_id)
        return self._follower.follow(job_id, unless, wait, place)

    def pause(self, job_id: str, wait: float) -> Job:
        """See `Steering.pause`."""
        self._check(job_id)
        return self._jobs.pause(job_id, self._caller.user, wait)

    def resume(self, job_id: str, wait: float) -> Job:
        """See `Steering.resume`."""
        self._check(job_id)
        return self._jobs.resume(job_id, self._caller.user, wait)

    def terminate(self, job_id: str, wait: float, *, rollback: bool = False) -> Job:
        """See `Steering.terminate`."""
        self._check(job_id)
        return self._jobs.terminate(job_id, self._caller.user, wait, rollback=rollback)

    def roll_back(self, job_id: str, wait: float) -> Job:
        """See `Steering.roll_back`."""
        self._check(job_id)
        return self._jobs.roll_back(job_id, self._caller.user, wait)

    def forget(self, job_id: str) -> None:
        """See `Retention.forget`."""
        self._pruner.forget(self.get(job_id), self._caller.user)

    # What they made

    def result(self, job: Job) -> Result:
        """See `Results.file`. Raises Forbidden for one that may have what is not there for the caller any more."""
        found = self._results.file(job)
        if self._scope.owner is not None and job.scope != self._scope.owner:
            raise Forbidden(
                f"the result of {job.id} was made with a key that sees everybody's jobs, and this one does not; "
                "have it made again, and it has what is there for you"
            )
        return found

    def records(self, *, limit: int, after: RecordPlace | None, job_id: str | None) -> RecordPage:
        """See `Results.records`."""
        if job_id is not None:
            self.check_made(job_id)
        return self._results.records(limit=limit, after=after, job_id=job_id, owner=self._scope.owner)

    def teams(self, *, limit: int, after: int | None, job_id: str | None) -> TeamPage:
        """See `Results.teams`."""
        if job_id is not None:
            self.check_made(job_id)
        return self._results.teams(limit=limit, after=after, job_id=job_id, owner=self._scope.owner)

    def check_made(self, job_id: str) -> None:
        """See `Results.check_made`."""
        if not self.existed(job_id):
            raise UnknownJob(job_id)

    def existed(self, job_id: str) -> bool:
        """See `Results.existed`."""
        return self._results.existed(job_id, owner=self._scope.owner)

    # Many jobs at once

    def _narrowed(self, demand: Demand) -> Demand:
        return replace(demand, filter=replace(demand.filter, owner=self._scope.owner))

    def preview(self, demand: Demand) -> Preview:
        """See `Actions.preview`."""
        return self._actions.preview(self._narrowed(demand))

    def ask(self, demand: Demand, idempotency: Idempotency | None, wait: float) -> BulkAction:
        """See `Actions.ask`."""
        return self._actions.ask(NewAction(self._narrowed(demand), self._caller.user, idempotency), wait)

    def actions(self, *, limit: int, after: int | None) -> ActionPage:
        """See `Actions.page`."""
        return self._actions.page(limit=limit, after=after, owner=self._scope.owner)

    def action(self, action_id: str, wait: float) -> BulkAction:
        """See `Actions.get`."""
        if self._scope.owner is not None and self._actions.get(action_id).demand.filter.owner != self._scope.owner:
            # Another's; or their own, of a time when their key saw everybody's jobs.
            trail.note_foreign(action_id)
            raise UnknownAction(action_id)
        return self._actions.get(action_id, wait)
