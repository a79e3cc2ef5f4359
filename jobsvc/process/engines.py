"""The engines of a process that answers requests: here its own threads; `fleet_engines` has those of a fleet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from jobsvc.engines.threads import ThreadEngine
from jobsvc.jobs.stopping import Engine, RollbackEngine
from jobsvc.process.parts import ROLLBACKS_AT_ONCE, Part, webhook_sender
from jobsvc.runs.hooks import tell_aside
from jobsvc.runs.room_gate import RoomGate
from jobsvc.runs.sharing.giving_way import Slots, all_taken
from jobsvc.service.core import Core
from jobsvc.service.limits.rate import Buckets, OwnBuckets
from jobsvc.service.limits.uploads import OwnPlaces, Places
from jobsvc.service.workers import OwnWorker, Workers
from jobsvc.settings import Recover, Settings


@dataclass(frozen=True)
class Engines:
    """Where runs and rollbacks happen, and what that takes in this process."""

    runs: Engine
    rollbacks: RollbackEngine
    workers: Workers
    places: Places
    """Of uploads, over all processes that answer requests."""
    buckets: Buckets
    """Of requests, over the same."""
    parts: Sequence[Part]
    recover: Callable[[], None]
    """Settle what the last process has left behind, before anything starts."""


def threads(core: Core, settings: Settings) -> Engines:
    runs = ThreadEngine(
        RoomGate(core.runner, core.room),
        on_leave=core.notifier.notify,
        slots=settings.max_running,
        park_after=settings.park_after,
        paused_threads=settings.paused_threads,
    )
    core.runner.when_cleared = runs.wake
    core.runner.when_overtaken = partial(runs.wake, at_once=True)
    slots = Slots(core.database, core.now, all_taken, core.runner.users)
    # Without room, what gives way would be for nothing.
    runs.make_way = lambda notes: None if core.room.shortage() is not None else slots.make_way(notes)
    # Apart from the slots: a rollback doesn't wait for other people's jobs.
    rollbacks = ThreadEngine(
        core.rollbacks,
        on_leave=core.notifier.notify,
        slots=ROLLBACKS_AT_ONCE,
        park_after=0,
        name="rollback",
    )
    core.rollbacks.claims.under_way = lambda: runs.under_way(rollbacks.wake)

    def recover_jobs() -> None:
        tell_aside(core.kinds, core.recover(resume=settings.recover is Recover.AUTO))

    return Engines(
        runs,
        rollbacks,
        OwnWorker(core.database, core.now, slots=settings.max_running, used=lambda: runs.counts()["running"]),
        OwnPlaces(),
        OwnBuckets(),
        (runs, rollbacks, webhook_sender(core, settings)),
        recover_jobs,
    )
