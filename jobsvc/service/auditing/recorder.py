"""The thread that writes the lines of what changed nothing: refusals, downloads, reads of the audit itself.

No request waits for it, and none fails because of it. What comes within a moment is
written in one transaction, so that requests without end cannot keep others from writing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from threading import Event, Lock, Thread
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from jobsvc.access.acts import Act, Outcome
from jobsvc.access.audit_line import Line
from jobsvc.service.auditing.strangers import Strangers
from jobsvc.store.database import Database
from jobsvc.store.errors import Conflict, DatabaseClosed, DatabaseDown
from jobsvc.store.queries.callers import audit_rows

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.2
"""The pause after a write: what comes meanwhile is written together."""

RETRY_SECONDS = 1.0
"""The pause after a write that went wrong."""

WRITE_SECONDS = 5.0
"""How long a write waits for others."""

MAX_WAITING = 10_000
"""So many lines wait in memory while the database takes none; further ones are only counted."""

LINES_AT_A_TIME = 500
"""How many lines are written in one transaction."""


class Recorder:
    """`_lock` guards what waits to be written; nobody holds it while he writes."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], *, clock: Callable[[], float] = monotonic
    ) -> None:
        """`clock` is in seconds."""
        self._database, self._now, self._clock = database, now, clock
        self._lock = Lock()
        self._waiting: list[Line] = []
        self._lost = 0
        """How many lines were left out and not told of."""
        self._strangers = Strangers()
        self._told = False
        """Whether the log says that lines can't be written. For the thread alone."""
        self._stopped = Event()
        self._woken = Event()
        self._thread = Thread(target=self._live, name="jobsvc-audit", daemon=True)

    def now(self) -> datetime:
        """The time for a line."""
        return self._now()

    def record(self, line: Line) -> None:
        """Have a line of a caller that is known written. Returns at once."""
        with self._lock:
            self._put([line])
        self._woken.set()

    def record_stranger(self, line: Line) -> None:
        """The same, of somebody who was not let in: those that are alike, or very many, share lines."""
        with self._lock:
            self._put(self._strangers.note(line, self._clock()))
        self._woken.set()

    def _put(self, lines: list[Line]) -> None:
        room = max(0, MAX_WAITING - len(self._waiting))
        self._waiting += lines[:room]
        self._lost += sum(line.times for line in lines[room:])

    def start(self) -> None:
        self._thread.start()

    def begin_shut_down(self) -> None:
        """Nothing: requests that are under way may still be refused."""

    def shut_down(self, seconds: float) -> None:
        """Write what waits, and nothing further. Waits up to `seconds` for that."""
        self._stopped.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(max(0.0, seconds))

    def _live(self) -> None:
        while not self._stopped.is_set():
            self._woken.wait(self._left())
            self._woken.clear()
            self._stopped.wait(GATHER_SECONDS if self._try_to_write() else RETRY_SECONDS)
        with self._lock:
            self._put(self._strangers.end())
        while self._left() == 0.0:
            if not self._try_to_write():
                log.error("%d lines of the audit were not written: the process ends", len(self._waiting) + self._lost)
                return

    def _left(self) -> float | None:
        """Seconds until there is something to write that was counted; 0 if lines wait."""
        with self._lock:
            return 0.0 if self._waiting or self._lost else self._strangers.left(self._clock())

    def _try_to_write(self) -> bool:
        """Write what waits. Returns whether that went well; what could not be written waits on."""
        with self._lock:
            self._put(self._strangers.due(self._clock()))
            lines, self._waiting = self._waiting[:LINES_AT_A_TIME], self._waiting[LINES_AT_A_TIME:]
            lost, self._lost = self._lost, 0
        if not lines and not lost:
            return True
        try:
            self._write(lines, lost)
        except (DatabaseDown, DatabaseClosed, Conflict) as error:
            with self._lock:
                self._waiting = lines + self._waiting
                self._lost += lost
            if not self._told:
                log.warning("the audit waits for the database, %d lines so far: %s", len(lines), error)
            self._told = True
            return False
        except SQLAlchemyError:
            # It would go wrong again: these must not keep the next ones from being written.
            if not self._told:
                log.exception("%d lines of the audit can't be written", len(lines))
            self._told = True
            with self._lock:
                self._lost += lost + sum(line.times for line in lines)
            return False
        if lost:
            log.error("%d lines of the audit were left out: the database took none", lost)
        self._told = False
        return True

    def _write(self, lines: list[Line], lost: int) -> None:
        told = [Line(self._now(), Act.LOSE_LINES, Outcome.FAILED, times=lost)] if lost else []
        # What a full disk has in reserve is for those who make room.
        with self._database.write(within=WRITE_SECONDS, reserve=False) as connection:
            audit_rows.add(connection, [*lines, *told])
