"""A worker of the fleet, put together: `python -m jobsvc worker`."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from signal import SIGTERM

from jobsvc.clock import now
from jobsvc.engines.fleet.supervised_worker import Times
from jobsvc.engines.fleet.worker import FleetWorker
from jobsvc.files.tidying import tidy_strays
from jobsvc.identifiers import EntryId, JobKey, Purpose
from jobsvc.process.fleet_engines import FleetQueues
from jobsvc.process.interpreter import leave_out_what_stays, take_short_turns
from jobsvc.process.metrics_port import MetricsPort
from jobsvc.process.parts import ROLLBACKS_AT_ONCE, Part, build_core, webhook_sender
from jobsvc.process.start_line import log_start
from jobsvc.runs.rescue import WorkerRescue
from jobsvc.runs.sharing.giving_way import InFleet, Slots
from jobsvc.runs.signals import FleetSignals, Lease
from jobsvc.service.core import Core
from jobsvc.settings import EngineName, Recover, SettingError, Settings, is_loopback
from jobsvc.store.locks.process_lock import ProcessLock
from jobsvc.store.postgresql.backend import conninfo
from jobsvc.store.postgresql.listener import Listener
from jobsvc.store.queries import worker_rows
from jobsvc.traces.setup import sending

STRAY_AFTER = timedelta(days=1)
"""A file of no job is moved aside when it is this old: a file that is being received belongs to no job yet."""

MARGIN_SECONDS = 1.0
"""The part of the bound that is kept for the end of the interpreter."""


@dataclass(frozen=True)
class Description:
    """What the others see of a worker. Its fields are columns of `workers`."""

    name: str
    host: str
    pid: int
    queues: list[str]
    """Names of kinds."""
    concurrency: int
    session: str
    """The name of its connections to the database."""


def work(settings: Settings, *, concurrency: int, queues: Sequence[str], name: str | None) -> None:
    """Take jobs from the fleet's queue until SIGTERM or SIGINT; `queues` are names of kinds, empty for all.

    Raises SettingError, KindError, SchemaBehind, DatabaseInUse and DatabaseDown.
    """
    if settings.engine is not EngineName.FLEET:
        raise SettingError(f"a worker is a part of a fleet: JOBSVC_ENGINE={settings.engine} must be fleet")
    lock = ProcessLock(settings.url, shared=True)
    lock.acquire(0)
    try:
        session = worker_rows.session_name("worker")
        core = build_core(settings, session=session)
        _check_queues(queues, core.kinds)
        host, pid = socket.gethostname(), os.getpid()
        described = Description(name or f"{host}:{pid}", host, pid, list(queues or core.kinds), concurrency, session)
        process = OwnProcess(core, settings, described)
        worker = FleetWorker(
            conninfo(settings.url, session, settings.stalled_after),
            process,
            Times(
                heartbeat=settings.heartbeat,
                stalled_after=settings.stalled_after,
                sweep_every=settings.sweep_every,
                shutdown=settings.shutdown_timeout - MARGIN_SECONDS,
            ),
            queues=described.queues,
            concurrency=concurrency,
            rollbacks_at_once=ROLLBACKS_AT_ONCE,
        )
        process.start()
        # The worker ends if a process with the engine `threads` has taken the database while it was away.
        lock.watch(partial(os.kill, pid, SIGTERM))
        take_short_turns()
        leave_out_what_stays()
        worker.run()
    finally:
        lock.release()


def _check_queues(queues: Sequence[str], kinds: Collection[str]) -> None:
    unknown = sorted(set(queues) - set(kinds))
    if unknown:
        raise SettingError(f"--queues {','.join(unknown)}: the kinds are {', '.join(sorted(kinds))}")


def _metrics_port(settings: Settings) -> MetricsPort:
    if not settings.allow_anonymous and not is_loopback(settings.host):
        raise SettingError(
            f"refusing to tell metrics at {settings.host}:{settings.metrics_port}: this port asks for no key. Listen "
            "on 127.0.0.1, or set JOBSVC_ALLOW_ANONYMOUS=1 if only people whom you trust can reach it"
        )
    return MetricsPort(settings.host, settings.metrics_port)


class OwnProcess:
    """What there is to do in this process. Implements `engines.fleet.worker.WorkerProcess`."""

    def __init__(self, core: Core, settings: Settings, described: Description) -> None:
        self._core = core
        self._settings = settings
        self._described = described
        queues = FleetQueues.make(core.runner.users)
        self._runs = core.fleet_runs(queues.runs, queues.rollbacks, resume=settings.recover is Recover.AUTO)
        slots = Slots(core.database, core.now, InFleet(timedelta(seconds=settings.stalled_after)), core.runner.users)
        self._make_way = self._runs.make_way = partial(slots.make_way_or_leave_it, queues.runs)
        self._rescue = WorkerRescue(core.database, self._runs.recover, stalled_after=settings.stalled_after)
        self._parts: list[Part] = [webhook_sender(core, settings), Listener(settings.url, core.notifier.notify)]
        if settings.metrics_port:
            self._parts.append(_metrics_port(settings))
        # The last to end: whatever else ends may have a span.
        self._parts += sending("worker")

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def new_signals(self, should_abort: Callable[[], bool], lease: Lease) -> FleetSignals:
        return FleetSignals(should_abort, lease)

    def registered(self, number: int, purpose: Purpose) -> None:
        described = asdict(self._described)
        with self._core.database.write(urgent=True) as connection:
            worker_rows.add(connection, {"id": number, "purpose": purpose, "started_at": now(), **described})
        if purpose is Purpose.RUNS:
            told = self._described
            takes = ", ".join(told.queues)
            log_start(
                *("worker", self._settings, self._core.database),
                worker=told.name,
                takes=takes,
                concurrency=told.concurrency,
            )

    def run(self, key: JobKey, entry: EntryId, signals: FleetSignals) -> None:
        self._runs.run(key, entry, signals)

    def roll_back(self, key: JobKey, entry: EntryId, signals: FleetSignals) -> None:
        self._runs.roll_back(key, entry, signals)

    def rescue(self) -> None:
        self._rescue.sweep()
        self._make_way()

    def tidy(self) -> None:
        tidy_strays(self._core.database, self._core.files, now(), older_than=STRAY_AFTER)

    def begin_to_end(self) -> None:
        for part in self._parts:
            part.begin_shut_down()

    def finish(self) -> None:
        for part in self._parts:
            part.shut_down(MARGIN_SECONDS)
        self._core.database.close()
