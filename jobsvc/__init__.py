"""jobsvc: long jobs over CSV files that can be paused, resumed and terminated."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from flask import Flask
from sqlalchemy import make_url

from jobsvc import kinds
from jobsvc.clock import now
from jobsvc.engines.threads import ThreadEngine
from jobsvc.jobs.recovery import recover
from jobsvc.jobs.results import Results
from jobsvc.jobs.runner import Runner
from jobsvc.jobs.service import JobService
from jobsvc.jobs.signals import Signals
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Kind
from jobsvc.settings import Recover, SettingError, Settings
from jobsvc.shutdown import Shutdown
from jobsvc.store.database import Database
from jobsvc.store.directory_lock import DirectoryLock
from jobsvc.store.files import Files
from jobsvc.store.migrate import upgrade
from jobsvc.web import data, health, jobs, local_only, original, problems
from jobsvc.web.in_flight import InFlight
from jobsvc.web.services import Services, provide

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
    no, and calls `app.extensions["jobsvc"].close()`. Raises SettingError, and
    DirectoryInUse if another process works on the data directory.
    """
    settings = settings or Settings.load()
    locks = _lock(settings)
    try:
        return _build(settings, locks, own_process, extra_kinds)
    except BaseException:
        for lock in locks:
            lock.release()
        raise


def _build(settings: Settings, locks: list[DirectoryLock], own_process: bool, extra_kinds: Iterable[Kind]) -> Flask:
    database = Database(settings.url)
    upgrade(database)
    files = Files(settings.data_dir / "files")
    known_kinds = dict(kinds.built_in()) | {kind.name: kind for kind in extra_kinds}
    runner = Runner(database, files, known_kinds, now)
    engine = ThreadEngine(
        claim=runner.claim,
        run=runner.run,
        is_paused=lambda outcome: outcome is State.PAUSED,
        signals=Signals,
        slots=settings.max_running,
        park_after=settings.park_after,
    )
    service = JobService(database, engine, now, settings.max_queued)

    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    in_flight = InFlight(app.wsgi_app)
    app.wsgi_app = in_flight  # type: ignore[method-assign]

    def finish(seconds: float) -> None:
        in_flight.wait(seconds)
        engine.shut_down(seconds)
        database.dispose()
        for lock in locks:
            lock.release()

    shutdown = Shutdown(settings.shutdown_timeout, engine.begin_shut_down, finish)

    def not_ready() -> str | None:
        return "shutting down" if shutdown.begun else database.fault()

    provide(
        app,
        Services(
            settings=settings,
            jobs=service,
            results=Results(database, files),
            files=files,
            not_ready=not_ready,
            close=shutdown.finish,
        ),
    )
    for part in (original, jobs, data, health):
        app.register_blueprint(part.bp)
    problems.register(app)
    local_only.register(app)

    recover(database, files, now, resume=settings.recover is Recover.AUTO)
    engine.start()
    if own_process:
        shutdown.install()
    return app


def _lock(settings: Settings) -> list[DirectoryLock]:
    """Lock the data directory, and the database's own one if that is another."""
    # gunicorn leaves its name in the environment of its workers.
    in_worker = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    handover = settings.shutdown_timeout + HANDOVER_MARGIN_SECONDS if in_worker else 0.0
    directories = {settings.data_dir.resolve(): settings.data_dir}
    path = make_url(settings.url).database
    if path:
        directories.setdefault(Path(path).parent.resolve(), Path(path).parent)
    locks: list[DirectoryLock] = []
    try:
        for directory in directories.values():
            locks.append(DirectoryLock(directory))
            locks[-1].acquire(handover)
    except OSError as error:
        raise SettingError(f"JOBSVC_DATA_DIR={str(settings.data_dir)!r} can't be used: {error}") from error
    except BaseException:
        for lock in locks:
            lock.release()
        raise
    return locks
