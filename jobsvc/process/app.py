"""The application: the service put together and started, as a server or a test uses it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from signal import SIGTERM
from time import monotonic

from flask import Flask

from jobsvc.kinds.contract import Kind
from jobsvc.process.engines import Part, fleet, threads
from jobsvc.process.locks import Locks
from jobsvc.process.parts import build_core
from jobsvc.process.shutdown import Shutdown
from jobsvc.service.left_over import LeftOver
from jobsvc.service.pruner import Pruner
from jobsvc.service.results import Results
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.settings import EngineName, Settings
from jobsvc.store import clock
from jobsvc.store.queries import worker_rows
from jobsvc.store.readiness import Readiness
from jobsvc.web import local_only, problems, takes
from jobsvc.web.in_flight import InFlight
from jobsvc.web.request_deadline import RequestDeadline
from jobsvc.web.routes import data, health, jobs, original, workers
from jobsvc.web.routes import kinds as kinds_routes
from jobsvc.web.services import Services, provide
from jobsvc.webhooks.address import check_callback

MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request that is no upload."""

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
    engines = fleet(core, settings) if settings.engine is EngineName.FLEET else threads(core, settings)
    service = core.service(engines.runs, engines.rollbacks)
    pruner = Pruner(Retention(database, files, RetentionPolicy.of(settings), partial(clock.read, own=core.now)))
    parts: list[Part] = [*engines.parts, pruner]

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    in_flight = InFlight(app.wsgi_app)
    app.wsgi_app = RequestDeadline(in_flight)  # type: ignore[method-assign]

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
            pruner=pruner,
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


def _lock(settings: Settings) -> Locks:
    # gunicorn leaves its name in the environment of its workers.
    in_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    locks = Locks(settings)
    locks.acquire(settings.shutdown_timeout + HANDOVER_MARGIN_SECONDS if in_worker else 0.0)
    return locks
