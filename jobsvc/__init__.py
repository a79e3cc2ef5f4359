"""jobsvc: long jobs over CSV files that can be paused, resumed and terminated."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from signal import SIGTERM
from time import monotonic
from typing import Protocol

from flask import Flask

from jobsvc.clock import now
from jobsvc.core import Core, build_core, fleet_queues, webhook_sender
from jobsvc.engines.threads import ThreadEngine
from jobsvc.jobs.hooks import tell_aside
from jobsvc.jobs.recovery import recover
from jobsvc.jobs.refused import LeftOver
from jobsvc.jobs.results import Results
from jobsvc.jobs.retention import Retention, Terms
from jobsvc.jobs.roomy import Roomy
from jobsvc.jobs.service import Engine, JobService, RollbackEngine
from jobsvc.jobs.signals import Signals
from jobsvc.jobs.states import State
from jobsvc.jobs.sweeper import Sweeper
from jobsvc.jobs.webhooks.address import check_callback
from jobsvc.jobs.workers import FleetWorkers, OwnWorker, Workers
from jobsvc.kinds.contract import Kind
from jobsvc.locks import Locks
from jobsvc.settings import EngineName, Recover, Settings
from jobsvc.shutdown import Shutdown
from jobsvc.store import clock, worker_rows
from jobsvc.store.listener import Listener
from jobsvc.store.readiness import Readiness
from jobsvc.web import data, health, jobs, local_only, original, problems, takes, workers
from jobsvc.web import kinds as kinds_routes
from jobsvc.web.in_flight import InFlight
from jobsvc.web.patient import Patient
from jobsvc.web.services import Services, provide

MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request that is no upload."""

ROLLBACKS_AT_ONCE = 2

HANDOVER_MARGIN_SECONDS = 5.0
"""How much longer than its shutdown may take a reloading server's new worker waits for the old one."""


def create_app(
    settings: Settings | None = None, *, own_process: bool = True, extra_kinds: Iterable[Kind] = ()
) -> Flask:
    """Build the service and start it. `extra_kinds` are there beside the built-in ones.

    `own_process` says that the process is this application's own: its signals and
    its end are listened to. A test that builds applications beside each other says
    no, and calls `app.extensions["jobsvc"].close()`. Raises SettingError,
    DirectoryInUse if another process works on the data directory, and on
    PostgreSQL DatabaseInUse, SchemaBehind and DatabaseDown.
    """
    settings = settings or Settings.load()
    locks = _lock(settings)
    try:
        return _build(settings, locks, own_process, extra_kinds)
    except BaseException:
        locks.release()
        raise


def _build(settings: Settings, locks: Locks, own_process: bool, extra_kinds: Iterable[Kind]) -> Flask:
    session = worker_rows.session_name("web") if settings.engine is EngineName.FLEET else None
    core = build_core(settings, extra_kinds, session)
    database, files, kinds = core.database, core.files, core.kinds
    engines = _fleet(core, settings) if settings.engine is EngineName.FLEET else _threads(core, settings)
    service = JobService(
        database,
        files,
        kinds,
        engines.runs,
        engines.rollbacks,
        core.announcements,
        now,
        max_queued=settings.max_queued,
        idempotency_hours=settings.idempotency_hours,
    )
    sweeper = Sweeper(Retention(database, files, Terms.of(settings), partial(clock.read, own=now)))
    parts: list[Part] = [*engines.parts, sweeper]

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    in_flight = InFlight(app.wsgi_app)
    app.wsgi_app = Patient(in_flight)  # type: ignore[method-assign]

    def finish(seconds: float) -> None:
        deadline = monotonic() + seconds
        in_flight.wait(seconds)
        for part in parts:
            part.shut_down(deadline - monotonic())
        database.close()
        locks.release()

    def begin_shut_down() -> None:
        for part in parts:
            part.begin_shut_down()

    shutdown = Shutdown(settings.shutdown_timeout, begin_shut_down, finish)

    readiness = Readiness(database, core.room)

    def not_ready() -> str | None:
        return "shutting down" if shutdown.begun else readiness.fault()

    provide(
        app,
        Services(
            settings=settings,
            jobs=service,
            results=Results(database, files),
            files=files,
            shortage=core.room.shortage,
            left_over=LeftOver(database, files),
            sweeper=sweeper,
            kinds=kinds,
            check_callback=partial(check_callback, allow_private=settings.webhook_allow_private),
            workers=engines.workers,
            not_ready=not_ready,
            close=shutdown.finish,
        ),
    )
    for routes in (original, jobs, kinds_routes, data, workers, health):
        app.register_blueprint(routes.bp)
    problems.register(app)
    local_only.register(app)
    takes.register(app)

    engines.recover()
    for part in parts:
        part.start()
    if own_process:
        shutdown.install()
    for lock in locks.of_processes:
        lock.watch(partial(os.kill, os.getpid(), SIGTERM) if own_process else shutdown.start)
    return app


class Part(Protocol):
    """Something with threads of its own."""

    def start(self) -> None: ...
    def begin_shut_down(self) -> None:
        """Returns at once."""

    def shut_down(self, seconds: float) -> object:
        """Begin to shut down, and wait up to that long for its threads to end."""


@dataclass(frozen=True)
class Engines:
    """Where runs and rollbacks happen, and what that takes in this process."""

    runs: Engine
    rollbacks: RollbackEngine
    workers: Workers
    parts: Sequence[Part]
    recover: Callable[[], None]
    """Settle what the last process has left behind, before anything starts."""


def _threads(core: Core, settings: Settings) -> Engines:
    roomy = Roomy(core.room, core.runner.claim, core.runner.due_in)
    runs = ThreadEngine(
        claim=roomy.claim,
        run=core.runner.run,
        is_paused=lambda outcome: outcome is State.PAUSED,
        signals=Signals,
        on_leave=core.announcements.announce,
        slots=settings.max_running,
        park_after=settings.park_after,
        due_in=roomy.due_in,
    )
    core.runner.when_cleared = runs.wake
    # Apart from the slots: who uploaded the wrong file doesn't wait for other people's jobs.
    rollbacks = ThreadEngine(
        claim=core.rollbacks.claim,
        run=core.rollbacks.run,
        is_paused=lambda _: False,
        signals=Signals,
        on_leave=core.announcements.announce,
        slots=ROLLBACKS_AT_ONCE,
        park_after=0,
        due_in=core.rollbacks.due_in,
        name="rollback",
    )
    core.rollbacks.under_way = lambda: runs.under_way(rollbacks.wake)

    def recover_jobs() -> None:
        resume, most = settings.recover is Recover.AUTO, settings.max_crashes
        settled = recover(core.database, core.files, now, resume=resume, kinds=core.kinds, max_crashes=most)
        tell_aside(core.kinds, settled)

    return Engines(
        runs,
        rollbacks,
        OwnWorker(core.database, now, slots=settings.max_running),
        (runs, rollbacks, webhook_sender(core, settings)),
        recover_jobs,
    )


def _fleet(core: Core, settings: Settings) -> Engines:
    """Jobs run elsewhere; this process hears of it."""
    runs, rollbacks = fleet_queues()
    listener = Listener(settings.url, core.announcements.announce)
    found = FleetWorkers(core.database, now, stalled_after=settings.stalled_after)
    return Engines(runs, rollbacks, found, (listener,), lambda: None)


def _lock(settings: Settings) -> Locks:
    # gunicorn leaves its name in the environment of its workers.
    in_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    locks = Locks(settings)
    locks.acquire(settings.shutdown_timeout + HANDOVER_MARGIN_SECONDS if in_worker else 0.0)
    return locks
