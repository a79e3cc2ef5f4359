"""The engines of a process whose jobs run in a fleet.

Apart from the others: its queue and its connections bring packages that no process without a fleet needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from jobsvc.engines.fleet.queue import FleetEngine, Task
from jobsvc.process.engines import Engines
from jobsvc.runs.sharing.giving_way import InFleet, Slots
from jobsvc.runs.sharing.user_slots import UserSlots
from jobsvc.service.core import Core
from jobsvc.service.limits.rate import SharedBuckets
from jobsvc.service.workers import FleetWorkers
from jobsvc.settings import Settings
from jobsvc.store.postgresql.listener import Listener
from jobsvc.store.postgresql.session_places import SessionPlaces
from jobsvc.store.queries import job_rows


@dataclass(frozen=True)
class FleetQueues:
    """The fleet's queue, for jobs and for rollbacks."""

    runs: FleetEngine
    rollbacks: FleetEngine

    @classmethod
    def make(cls, users: UserSlots) -> FleetQueues:
        return cls(
            FleetEngine(Task.RUN, job_rows.note_entry, users.hold_back),
            FleetEngine(Task.ROLL_BACK, job_rows.note_entry),
        )


def fleet(core: Core, settings: Settings, session: str | None) -> Engines:
    """Jobs run elsewhere; this process hears of it. `session` names its connections."""
    queues = FleetQueues.make(core.runner.users)
    slots = Slots(core.database, core.now, InFleet(timedelta(seconds=settings.stalled_after)), core.runner.users)
    queues.runs.make_way = slots.make_way_or_leave_it
    listener = Listener(settings.url, core.notifier.notify)
    found = FleetWorkers(core.database, core.now, stalled_after=settings.stalled_after)
    places = SessionPlaces(settings.url, session)
    buckets = SharedBuckets(core.database)
    return Engines(queues.runs, queues.rollbacks, found, places, buckets, (listener, places), lambda: None)
