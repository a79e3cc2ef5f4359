"""jobsvc: long jobs over CSV files that can be paused, resumed and terminated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from signal import SIGTERM
from time import monotonic
from typing import TypeAlias

from flask import Flask
from sqlalchemy import make_url

from jobsvc.clock import now
from jobsvc.engines.threads import ThreadEngine
from jobsvc.jobs.announcements import Announcements
from jobsvc.jobs.recovery import recover
from jobsvc.jobs.refused import LeftOver
from jobsvc.jobs.results import Results
from jobsvc.jobs.retention import Retention, Terms
from jobsvc.jobs.rollback import Rollbacks
from jobsvc.jobs.runner import Runner
from jobsvc.jobs.service import JobService
from jobsvc.jobs.signals import Signals
from jobsvc.jobs.states import State
from jobsvc.jobs.sweeper import Sweeper
from jobsvc.jobs.webhooks.address import check_callback
from jobsvc.jobs.webhooks.sender import WebhookSender
from jobsvc.jobs.webhooks.signature import load_key
from jobsvc.kinds.contract import Kind
from jobsvc.kinds.own_tables import make_tables
from jobsvc.kinds.registry import load_kinds
from jobsvc.settings import Recover, SettingError, Settings
from jobsvc.shutdown import Shutdown
from jobsvc.store.database import Database, is_postgresql
from jobsvc.store.directory_lock import DirectoryLock
from jobsvc.store.files import Files
from jobsvc.store.migrate import prepare
from jobsvc.store.process_lock import ProcessLock
from jobsvc.web import data, health, jobs, local_only, original, problems
from jobsvc.web import kinds as kinds_routes
from jobsvc.web.in_flight import InFlight
from jobsvc.web.services import Services, provide

Lock: TypeAlias = DirectoryLock | ProcessLock

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
        for lock in locks:
            lock.release()
        raise


def _build(settings: Settings, locks: list[Lock], own_process: bool, extra_kinds: Iterable[Kind]) -> Flask:
    database = Database(settings.url)
    prepare(database)
    files = Files(settings.data_dir / "files")
    kinds = load_kinds(settings.kinds, extra_kinds)
    with database.write() as connection:
        make_tables(connection, kinds.values())
    announcements = Announcements()
    runner = Runner(database, files, kinds, now)
    engine = ThreadEngine(
        claim=runner.claim,
        run=runner.run,
        is_paused=lambda outcome: outcome is State.PAUSED,
        signals=Signals,
        on_leave=announcements.announce,
        slots=settings.max_running,
        park_after=settings.park_after,
    )
    rollbacks = Rollbacks(database, files, kinds, now)
    # Apart from the slots: who uploaded the wrong file doesn't wait for other people's jobs.
    rollback_engine = ThreadEngine(
        claim=rollbacks.claim,
        run=rollbacks.run,
        is_paused=lambda _: False,
        signals=Signals,
        on_leave=announcements.announce,
        slots=ROLLBACKS_AT_ONCE,
        park_after=0,
        name="rollback",
    )
    service = JobService(
        database,
        files,
        kinds,
        engine,
        rollback_engine,
        announcements,
        now,
        max_queued=settings.max_queued,
        idempotency_hours=settings.idempotency_hours,
    )

    webhooks = WebhookSender(
        database,
        load_key(settings.webhook_secret, settings.data_dir),
        now,
        allow_private=settings.webhook_allow_private,
    )
    announcements.listen(webhooks.wake)

    sweeper = Sweeper(Retention(database, files, Terms.of(settings), now))

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    in_flight = InFlight(app.wsgi_app)
    app.wsgi_app = in_flight  # type: ignore[method-assign]

    def finish(seconds: float) -> None:
        deadline = monotonic() + seconds
        in_flight.wait(seconds)
        engine.shut_down(deadline - monotonic())
        rollback_engine.shut_down(deadline - monotonic())
        webhooks.shut_down(deadline - monotonic())
        sweeper.shut_down(deadline - monotonic())
        database.close()
        for lock in locks:
            lock.release()

    def begin_shut_down() -> None:
        engine.begin_shut_down()
        rollback_engine.begin_shut_down()
        webhooks.begin_shut_down()
        sweeper.begin_shut_down()

    shutdown = Shutdown(settings.shutdown_timeout, begin_shut_down, finish)

    def not_ready() -> str | None:
        return "shutting down" if shutdown.begun else database.fault()

    provide(
        app,
        Services(
            settings=settings,
            jobs=service,
            results=Results(database, files),
            files=files,
            left_over=LeftOver(database, files),
            sweeper=sweeper,
            kinds=kinds,
            check_callback=partial(check_callback, allow_private=settings.webhook_allow_private),
            not_ready=not_ready,
            close=shutdown.finish,
        ),
    )
    for part in (original, jobs, kinds_routes, data, health):
        app.register_blueprint(part.bp)
    problems.register(app)
    local_only.register(app)

    recover(database, files, now, resume=settings.recover is Recover.AUTO, kinds=kinds)
    engine.start()
    rollback_engine.start()
    webhooks.start()
    sweeper.start()
    if own_process:
        shutdown.install()
    for lock in locks:
        if isinstance(lock, ProcessLock):
            lock.watch(partial(os.kill, os.getpid(), SIGTERM) if own_process else shutdown.start)
    return app


def _lock(settings: Settings) -> list[Lock]:
    """Lock the data directory, and the database: on SQLite its directory, if that is another."""
    # gunicorn leaves its name in the environment of its workers.
    in_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    handover = settings.shutdown_timeout + HANDOVER_MARGIN_SECONDS if in_worker else 0.0
    directories = {settings.data_dir.resolve(): settings.data_dir}
    locks: list[Lock] = []
    if is_postgresql(settings.url):
        # First: if somebody else runs its jobs, that is the better thing to say.
        locks.append(ProcessLock(settings.url))
    else:
        path = Path(make_url(settings.url).database or "")
        directories.setdefault(path.parent.resolve(), path.parent)
    locks += map(DirectoryLock, directories.values())
    try:
        for lock in locks:
            lock.acquire(handover)
    except OSError as error:
        raise SettingError(f"JOBSVC_DATA_DIR={str(settings.data_dir)!r} can't be used: {error}") from error
    except BaseException:
        for lock in locks:
            lock.release()
        raise
    return locks
