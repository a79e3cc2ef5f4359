"""The application: the service put together and started, as a server or a test uses it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import partial

from flask import Flask

from jobsvc.kinds.contract import Kind
from jobsvc.logs.setup import configure
from jobsvc.process.engines import Engines, threads
from jobsvc.process.http.beyond_wsgi import PLACE, TELLS_OF_ANSWERS, TOLD_OF_REQUESTS
from jobsvc.process.interpreter import leave_out_what_stays, take_short_turns
from jobsvc.process.locks import Locks
from jobsvc.process.parts import build_core
from jobsvc.process.start_line import log_start
from jobsvc.process.web_process import WebProcess
from jobsvc.service.actions.thread import ActionThread
from jobsvc.service.auditing.audit import Audit
from jobsvc.service.auditing.recorder import Recorder
from jobsvc.service.callers.key_use import KeyUse
from jobsvc.service.callers.keys import Keys
from jobsvc.service.callers.sessions import Sessions
from jobsvc.service.checking.report import Reports
from jobsvc.service.core import Core
from jobsvc.service.following.follower import Follower
from jobsvc.service.left_over import LeftOver
from jobsvc.service.limits.rate import RequestRate
from jobsvc.service.limits.uploads import Uploads
from jobsvc.service.monitoring.details import Details
from jobsvc.service.monitoring.figures import DatabaseFigures
from jobsvc.service.monitoring.measured import Measured
from jobsvc.service.monitoring.overview import Overview
from jobsvc.service.monitoring.samples import Samples
from jobsvc.service.monitoring.told_settings import told_settings
from jobsvc.service.previews import Previews
from jobsvc.service.pruner import Pruner
from jobsvc.service.results import Results
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.settings import EngineName, Settings, given_texts
from jobsvc.store import clock
from jobsvc.store.disk.open_room import filled_disks
from jobsvc.store.queries import worker_rows
from jobsvc.store.readiness import Readiness
from jobsvc.traces.setup import Sending, sending
from jobsvc.version import VERSION
from jobsvc.web import access, auditing, measuring, problems, request_log, takes
from jobsvc.web.browsers import forms, headers, local_only
from jobsvc.web.browsers.attempts import Attempts
from jobsvc.web.dashboard import assets, pages
from jobsvc.web.forwarded import Forwarded
from jobsvc.web.in_flight import InFlight
from jobsvc.web.request_deadline import RequestDeadline
from jobsvc.web.request_log import RequestLog
from jobsvc.web.routes import actions as action_routes
from jobsvc.web.routes import audit as audit_routes
from jobsvc.web.routes import (
    checking,
    contract,
    data,
    health,
    jobs,
    keys,
    kinds,
    login,
    metrics,
    original,
    previews,
    workers,
)
from jobsvc.web.routes import service as service_routes
from jobsvc.web.services import Services, provide
from jobsvc.web.waits import CountedWaits
from jobsvc.webhooks.address import check_callback

MAX_BODY_BYTES = 64 * 1024
"""The largest body of a request that is no upload."""

ROUTES = (
    *(original, jobs, checking, action_routes, kinds, previews, data, workers, service_routes),
    *(keys, login, audit_routes, health, metrics, contract),
    *(pages, assets),
)

HANDOVER_MARGIN_SECONDS = 5.0
"""In a reload, the new worker waits for the old one so much longer than a shutdown may take."""


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
    traces = []
    if own_process:
        take_short_turns()
        configure(settings)
        traces = sending("web")
    locks = _lock(settings)
    try:
        app = _build(settings, locks, own_process, extra_kinds, traces)
    except BaseException:
        locks.release()
        raise
    if own_process:
        leave_out_what_stays()
    return app


def _build(
    settings: Settings, locks: Locks, own_process: bool, extra_kinds: Iterable[Kind], traces: Sequence[Sending]
) -> Flask:
    session = worker_rows.session_name("web") if settings.engine is EngineName.FLEET else None
    core = build_core(settings, extra_kinds, session)
    database, files = core.database, core.files
    engines = _engines(core, settings, session)
    service = core.service(engines.runs, engines.rollbacks)
    actions = core.actions(service)
    carrying_out = core.carrying_out(service, engines.runs, engines.rollbacks)
    action_thread = ActionThread(carrying_out.step, shared=settings.engine is EngineName.FLEET)
    actions.wake = action_thread.wake
    follower = Follower(service.lookup, core.notifier)
    pruner = Pruner(Retention(database, files, RetentionPolicy.of(settings), partial(clock.read, own=core.now)))
    key_use = KeyUse(database, core.now)
    recorder = Recorder(database, core.now)
    app = Flask(__name__, static_folder=None)
    in_flight = _count_requests(app, settings)
    core.runner.others_first_for = in_flight.first_for
    process = WebProcess(
        database,
        locks,
        [*engines.parts, action_thread, follower, pruner, key_use, recorder, *traces],
        in_flight,
        Readiness(database, core.room),
        shutdown_seconds=settings.shutdown_timeout,
    )
    results = Results(database, files)
    access_keys = Keys(database, settings.api_keys, core.now, key_use.note)
    services = Services(
        settings=settings,
        jobs=service,
        actions=actions,
        follower=follower,
        uploads=Uploads(engines.places, settings.user_max_uploads),
        rate=RequestRate(engines.buckets, settings.user_max_requests),
        place=PLACE,
        results=results,
        files=files,
        shortage=core.room.shortage,
        left_over=LeftOver(database, files, core.kinds),
        previews=Previews(database, core.now, max_row_bytes=settings.max_row_bytes),
        reports=Reports(database, files),
        pruner=pruner,
        kinds=core.kinds,
        audit=Audit(database),
        recorder=recorder,
        keys=access_keys,
        sessions=Sessions(database, access_keys, settings.api_keys, core.now, key_use),
        attempts=Attempts(),
        check_callback=partial(check_callback, allow_private=settings.webhook_allow_private),
        workers=engines.workers,
        measured=_measured(core, settings, engines),
        samples=Samples(database),
        overview=Overview(database, engines.workers, core.now),
        details=Details(
            database,
            told_settings(settings, given_texts()),
            filled_disks(settings),
            settings.min_free_bytes,
            process.not_ready,
            core.now(),
        ),
        not_ready=process.not_ready,
        close=process.close,
    )
    _add_web(app, services)
    engines.recover()
    process.start(own=own_process)
    log_start("web", settings, database, os.environ.get("GUNICORN_LISTENS"))
    return app


def _engines(core: Core, settings: Settings, session: str | None) -> Engines:
    if settings.engine is EngineName.THREADS:
        return threads(core, settings)
    # PostgreSQL's driver and the queue are a tenth of what a start imports.
    from jobsvc.process.fleet_engines import fleet  # noqa: PLC0415

    return fleet(core, settings, session)


def _measured(core: Core, settings: Settings, engines: Engines) -> Measured:
    return Measured(
        DatabaseFigures(core.database, engines.workers, core.now, shared=settings.engine is EngineName.FLEET),
        engines.workers,
        frozenset(core.kinds),
        filled_disks(settings),
        {"version": VERSION, "engine": settings.engine, "database": core.database.backend.engine.name},
    )


def _count_requests(app: Flask, settings: Settings) -> InFlight:
    """Count the requests that are being answered, and those that wait; each has its id and its deadline at once."""
    in_flight = InFlight(app.wsgi_app, TELLS_OF_ANSWERS)
    app.extensions[TOLD_OF_REQUESTS] = in_flight
    counted = RequestLog(RequestDeadline(CountedWaits(in_flight, PLACE)))
    app.wsgi_app = Forwarded(counted, settings.trusted_proxies)  # type: ignore[method-assign]
    return in_flight


def _add_web(app: Flask, services: Services) -> None:
    """What answers requests."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    provide(app, services)
    for routes in ROUTES:
        app.register_blueprint(routes.bp)
    # The first is the first that is asked about a request.
    for concern in (headers, request_log, measuring, forms, auditing, problems, local_only, access, takes):
        concern.register(app)


def _lock(settings: Settings) -> Locks:
    # gunicorn leaves its name in the environment of its workers.
    in_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    locks = Locks(settings)
    locks.acquire(settings.shutdown_timeout + HANDOVER_MARGIN_SECONDS if in_worker else 0.0)
    return locks
