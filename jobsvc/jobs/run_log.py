"""What one run says for its job's log: kept in memory, and written with the checkpoint or where the run ends.

A transaction for each line would cost more than most items do. So a process that is killed
loses what was said since the checkpoint before; nothing else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from threading import Lock

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.kinds.contract import LOG_LEVELS
from jobsvc.store.queries import log_rows
from jobsvc.store.queries.log_rows import MAX_LINES, Line, storable


class RunLog:
    """Implements `kinds.contract.Log`; its lines may be said on any thread.

    As many lines wait to be written as a job keeps: the newest. `_lock` guards all of it.
    """

    def __init__(self, attempt: int, now: Callable[[], datetime]) -> None:
        self._attempt = attempt
        self._now = now
        self._lock = Lock()
        self._waiting: deque[Line] = deque(maxlen=MAX_LINES)
        self._said = 0
        """How many lines were said in all."""
        self._written = 0
        """How many of these are written, or were dropped since others were."""

    def __call__(self, text: str, *, level: str = "info", item: int | None = None) -> None:
        if level not in LOG_LEVELS:
            raise ValueError(f"there is no level {level!r} for a line of a job's log: it is {', '.join(LOG_LEVELS)}")
        line = Line(self._now(), level, storable(text), item, by_kind=True)
        with self._lock:
            self._waiting.append(line)
            self._said += 1

    def write(self, connection: Connection, key: JobKey) -> int:
        """Write what waits, in a transaction that has locked the job's row.

        Returns what `written` is to be told once that is committed.
        """
        if not self._waiting:
            return self._said
        with self._lock:
            lines, said = list(self._waiting), self._said
            dropped = said - self._written - len(lines)
        log_rows.append(connection, key, self._attempt, lines, dropped=dropped)
        return said

    def written(self, said: int) -> None:
        """The transaction is committed."""
        with self._lock:
            while self._waiting and self._said - len(self._waiting) < said:
                self._waiting.popleft()
            self._written = max(self._written, said)
