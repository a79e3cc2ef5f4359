"""What clients may ask of jobs: submit, look, pause, resume, terminate, roll back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from jobsvc.files.contract import Files
from jobsvc.jobs.stopping import Engine, RollbackEngine
from jobsvc.kinds.contract import Kind
from jobsvc.service.checking.applying import Applying
from jobsvc.service.limits.quotas import Quotas
from jobsvc.service.lookup import Lookup
from jobsvc.service.notifier import Notifier
from jobsvc.service.settling import Settling
from jobsvc.service.steering import Steering
from jobsvc.service.submission import Submission
from jobsvc.store.database import Database


class JobService:
    """One object for whatever is asked of jobs; its parts, each in a file of its own, do it.

    Safe to share among threads, as they are.
    """

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
        quotas: Quotas,
        idempotency_hours: float,
    ) -> None:
        self.lookup, self.quotas = Lookup(database), quotas
        self.submission = Submission(
            database, engine, now, max_queued=max_queued, quotas=quotas, idempotency_hours=idempotency_hours
        )
        self.settling = Settling(database, self.lookup, files, kinds, engine, notifier, now)
        self.steering = Steering(database, self.lookup, self.settling, kinds, engine, rollbacks, notifier, now)

        self.new_id, self.submit = self.submission.new_id, self.submission.submit
        self.apply = Applying(files, kinds, self.new_id, self.submit).apply
        self.get, self.page = self.lookup.get, self.lookup.page
        self.events, self.log, self.webhooks = self.lookup.events, self.lookup.log, self.lookup.webhooks
        self.recent, self.told, self.ahead = self.lookup.recent, self.lookup.told, self.lookup.ahead
        self.pause, self.resume = self.steering.pause, self.steering.resume
        self.terminate, self.roll_back = self.steering.terminate, self.steering.roll_back
