"""What runs jobs and what steers them, put together on a database: for every process, and for the test kit.

It stands in this room since both `process/` and `testing/` build on it, and neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobsvc.files.contract import Files
from jobsvc.jobs.job import Job
from jobsvc.jobs.stopping import Engine, Queue, RollbackEngine, RollbackQueue
from jobsvc.kinds.contract import Kind
from jobsvc.runs.fleet_runs import FleetRuns
from jobsvc.runs.recovery import recover
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.runner import Runner
from jobsvc.service.actions.asking import Actions
from jobsvc.service.actions.carrying_out import CarryingOut
from jobsvc.service.jobs import JobService
from jobsvc.service.limits.quotas import Quotas
from jobsvc.service.notifier import Notifier
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.disk.room import Room


@dataclass(frozen=True)
class Core:
    """The parts, not yet started."""

    database: Database
    files: Files
    room: Room
    kinds: Mapping[str, Kind]
    now: Callable[[], datetime]
    settings: Settings
    notifier: Notifier
    runner: Runner
    rollbacks: Rollbacks

    @classmethod
    def on(
        cls,
        database: Database,
        files: Files,
        kinds: Mapping[str, Kind],
        now: Callable[[], datetime],
        settings: Settings,
        room: Room | None = None,
    ) -> Core:
        """The parts for the jobs of `database`; without a `room`, the disks always have some.

        Of the settings, only the limits for jobs and for their queue are used here.
        """
        room = room or Room()
        runner = Runner(
            *(database, files, kinds, now, room),
            max_crashes=settings.max_crashes,
            max_row_bytes=settings.max_row_bytes,
            user_max_running=settings.user_max_running,
        )
        rollbacks = Rollbacks(database, files, kinds, now)
        return cls(database, files, room, kinds, now, settings, Notifier(), runner, rollbacks)

    def service(self, runs: Engine, rollbacks: RollbackEngine) -> JobService:
        """What clients may ask, of jobs that run on these engines."""
        return JobService(
            self.database,
            self.files,
            self.kinds,
            runs,
            rollbacks,
            self.notifier,
            self.now,
            max_queued=self.settings.max_queued,
            quotas=Quotas(
                *(self.database, self.now),
                max_queued=self.settings.user_max_queued,
                max_stored_bytes=self.settings.user_max_stored_bytes,
                idempotency_hours=self.settings.idempotency_hours,
            ),
            idempotency_hours=self.settings.idempotency_hours,
        )

    def actions(self, service: JobService) -> Actions:
        """The same, of many jobs at once."""
        return Actions(
            self.database, service.settling, self.notifier, self.now, idempotency_hours=self.settings.idempotency_hours
        )

    def carrying_out(self, service: JobService, runs: Engine, rollbacks: RollbackEngine) -> CarryingOut:
        """What carries out such actions, on these engines."""
        return CarryingOut(self.database, service.steering, service.settling, runs, rollbacks, self.notifier, self.now)

    def fleet_runs(self, runs: Queue, rollbacks: RollbackQueue, *, resume: bool) -> FleetRuns:
        """What a worker of a fleet does with the jobs of these queues. With `resume`, interrupted ones go on."""
        return FleetRuns(
            self.database,
            self.files,
            self.kinds,
            self.runner,
            self.rollbacks,
            runs,
            rollbacks,
            self.now,
            resume=resume,
            max_crashes=self.settings.max_crashes,
            room=self.room,
        )

    def recover(self, *, resume: bool) -> Sequence[Job]:
        """Settle what the last process has left behind (see `recovery.recover`), before anything starts."""
        most = self.settings.max_crashes
        return recover(self.database, self.files, self.now, resume=resume, kinds=self.kinds, max_crashes=most)
