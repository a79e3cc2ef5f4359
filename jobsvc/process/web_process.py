"""What runs in a process that answers requests: its parts, and how they begin and end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from signal import SIGTERM
from time import monotonic

from jobsvc.process.locks import Locks
from jobsvc.process.parts import Part
from jobsvc.process.shutdown import Shutdown
from jobsvc.store.database import Database
from jobsvc.store.readiness import Readiness
from jobsvc.web.in_flight import InFlight


class WebProcess:
    """Its parts end in the order in which they are given: first those that run jobs."""

    def __init__(
        self,
        database: Database,
        locks: Locks,
        parts: Sequence[Part],
        in_flight: InFlight,
        readiness: Readiness,
        *,
        shutdown_seconds: float,
    ) -> None:
        self._database, self._locks, self._parts = database, locks, parts
        self._in_flight, self._readiness = in_flight, readiness
        self._shutdown = Shutdown(shutdown_seconds, self._begin_shut_down, self._finish)

    def start(self, *, own: bool) -> None:
        """Start the parts. If the process is its `own`, listen for its signals and its end."""
        for part in self._parts:
            part.start()
        if own:
            self._shutdown.install()
        for lock in self._locks.of_processes:
            lock.watch(partial(os.kill, os.getpid(), SIGTERM) if own else self._shutdown.start)

    def not_ready(self) -> str | None:
        """Why the service can't take work at the moment; None if it can."""
        return "shutting down" if self._shutdown.begun else self._readiness.fault()

    def close(self) -> None:
        """End everything, within the bound. Only the first call does anything."""
        self._shutdown.finish()

    def _begin_shut_down(self) -> None:
        for part in self._parts:
            part.begin_shut_down()

    def _finish(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        self._in_flight.wait(seconds)
        for part in self._parts:
            part.shut_down(deadline - monotonic())
        self._database.close()
        self._locks.release()
