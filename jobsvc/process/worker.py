"""A worker process of the fleet, put together: `python -m jobsvc worker`."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from signal import SIGTERM

from jobsvc.clock import now
from jobsvc.engines.fleet.supervised_worker import Times
from jobsvc.engines.fleet.worker import Duties, FleetWorker
from jobsvc.files.tidying import tidy_strays
from jobsvc.process.parts import ROLLBACKS_AT_ONCE, build_core, fleet_queues, webhook_sender
from jobsvc.runs.fleet_runs import FleetRuns
from jobsvc.runs.rescue import WorkerRescue
from jobsvc.runs.signals import FleetSignals
from jobsvc.settings import EngineName, Recover, SettingError, Settings
from jobsvc.store.locks.process_lock import ProcessLock
from jobsvc.store.postgresql.backend import conninfo
from jobsvc.store.postgresql.listener import Listener
from jobsvc.store.queries import worker_rows

log = logging.getLogger(__name__)

STRAY_AFTER = timedelta(days=1)
"""How old a file of no job is before it is moved aside: one that is being received belongs to none yet."""

MARGIN_SECONDS = 1.0
"""What is kept of the bound for the end of the interpreter."""


def work(settings: Settings, *, concurrency: int, queues: Sequence[str], name: str | None) -> None:
    """Take jobs from the fleet's queue until SIGTERM or SIGINT; `queues` are names of kinds, empty for all.

    Raises SettingError, KindError, SchemaBehind, DatabaseInUse and DatabaseDown.
    """
    if settings.engine is not EngineName.FLEET:
        raise SettingError(f"a worker is a part of a fleet: JOBSVC_ENGINE={settings.engine} must be fleet")
    lock = ProcessLock(settings.url, shared=True)
    lock.acquire(0)
    try:
        _work(settings, lock, concurrency, queues, name)
    finally:
        lock.release()


def _work(settings: Settings, lock: ProcessLock, concurrency: int, queues: Sequence[str], name: str | None) -> None:
    host = socket.gethostname()
    session = worker_rows.session_name("worker")
    core = build_core(settings, session=session)
    unknown = sorted(set(queues) - set(core.kinds))
    if unknown:
        raise SettingError(f"--queues {','.join(unknown)}: the kinds are {', '.join(sorted(core.kinds))}")
    runs, rollbacks = fleet_queues()
    fleet = FleetRuns(
        core.database,
        core.files,
        core.kinds,
        core.runner,
        core.rollbacks,
        runs,
        rollbacks,
        now,
        resume=settings.recover is Recover.AUTO,
        max_crashes=settings.max_crashes,
        room=core.room,
    )
    queues = list(queues or core.kinds)
    described = {
        "name": name or f"{host}:{os.getpid()}",
        "host": host,
        "pid": os.getpid(),
        "queues": queues,
        "concurrency": concurrency,
        "session": session,
    }

    def registered(worker_id: int, purpose: str) -> None:
        with core.database.write(urgent=True) as connection:
            worker_rows.add(connection, {"id": worker_id, "purpose": purpose, "started_at": now(), **described})
        if purpose != worker_rows.RUNS:
            return
        log.info("worker ready: %s takes %s, %d at a time", described["name"], ", ".join(queues), concurrency)

    def tidy() -> None:
        tidy_strays(core.database, core.files, now(), older_than=STRAY_AFTER)

    rescue = WorkerRescue(core.database, fleet.recover, stalled_after=settings.stalled_after)
    listener = Listener(settings.url, core.notifier.notify)
    worker = FleetWorker(
        conninfo(settings.url, session, settings.stalled_after),
        Duties(
            signals=FleetSignals,
            run=fleet.run,
            roll_back=fleet.roll_back,
            recover=rescue.sweep,
            tidy=tidy,
            registered=registered,
        ),
        Times(
            heartbeat=settings.heartbeat,
            stalled_after=settings.stalled_after,
            sweep_every=settings.sweep_every,
            shutdown=settings.shutdown_timeout - MARGIN_SECONDS,
        ),
        queues=queues,
        concurrency=concurrency,
        rollbacks_at_once=ROLLBACKS_AT_ONCE,
    )
    parts = (webhook_sender(core, settings), listener)
    for part in parts:
        part.start()
    lock.watch(partial(os.kill, os.getpid(), SIGTERM))

    def began_to_end() -> None:
        for part in parts:
            part.begin_shut_down()

    def finish() -> None:
        for part in parts:
            part.shut_down(MARGIN_SECONDS)
        core.database.close()

    worker.run(began_to_end, finish)
