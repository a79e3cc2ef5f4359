"""What one run says for its job's log: kept in memory, and written with the checkpoint or where the run ends.

A transaction for each line would cost more than most items do. So a process that is killed
loses what was said since the checkpoint before; nothing else does.
"""

from __future__ import annotations

import operator
import reprlib
from collections import deque
from collections.abc import Callable
from datetime import datetime
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey
from jobsvc.kinds.contract import LOG_LEVELS
from jobsvc.store.queries import log_rows
from jobsvc.store.queries.log_rows import MAX_LINES, Line, storable

MAX_ITEM = 2**63 - 1
"""The largest number of an item that the database has room for."""


class Unheard(NamedTuple):
    """What was written in a transaction of which it is not known whether it was committed."""

    said: int
    last: int
    """The number of its last line in the job's log."""


class RunLog:
    """Implements `kinds.contract.Log`; its lines may be said on any thread, and are written by one thread at a time:
    that of the run, or the one that commits for it.

    As many lines wait to be written as a job keeps: the newest. `_lock` guards `_waiting`, `_said` and
    `_written`; `_unheard` is the writer's alone.
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
        self._unheard: Unheard | None = None

    def __call__(self, text: str, *, level: str = "info", item: int | None = None) -> None:
        if level not in LOG_LEVELS:
            raise ValueError(f"there is no level {level!r} for a line of a job's log: it is {', '.join(LOG_LEVELS)}")
        number, told = _number(item)
        # Of a text or a number that another library has derived, the plain one.
        level = LOG_LEVELS[LOG_LEVELS.index(level)]
        line = Line(self._now(), level, storable(f"{told}{text!s}"), number, by_kind=True)
        with self._lock:
            self._waiting.append(line)
            self._said += 1

    def write(self, connection: Connection, key: JobKey) -> int:
        """Write what waits, in a transaction that has locked the job's row.

        Returns what `written` is to be told once that is committed. What was committed before, and
        the answer lost, is not written again.
        """
        if self._unheard is not None:
            # Its transaction has ended, since this one has the lock.
            if log_rows.is_by_kind(connection, key, self._unheard.last, self._attempt):
                self.written(self._unheard.said)
            self._unheard = None
        with self._lock:
            lines, said = list(self._waiting), self._said
            dropped = said - self._written - len(lines)
        if lines:
            last = log_rows.append(connection, key, self._attempt, lines, dropped=dropped)
            self._unheard = Unheard(said, last)
        return said

    def written(self, said: int) -> None:
        """The transaction is committed."""
        self._unheard = None
        with self._lock:
            while self._waiting and self._said - len(self._waiting) < said:
                self._waiting.popleft()
            self._written = max(self._written, said)

    def leave_out(self) -> bool:
        """Drop what waits, since the database does not take it; a line tells how much that was.

        Returns whether anything of the kind's was among it.
        """
        with self._lock:
            count = sum(line.by_kind for line in self._waiting)
            if count:
                self._waiting.clear()
                text = f"the database does not take what the kind has said: {count} lines are left out"
                self._waiting.append(Line(self._now(), "error", text))
                self._said += 1
        return count > 0


def _number(item: object) -> tuple[int | None, str]:
    """An item's number as it is stored; where it is none, what stands before the line's text instead of it."""
    if item is None:
        return None, ""
    try:
        # Also numbers of other libraries.
        number = operator.index(item)  # type: ignore[arg-type]
    except TypeError:
        return None, f"[item {reprlib.repr(item)}] "
    if not -MAX_ITEM <= number <= MAX_ITEM:
        return None, "[an item whose number is too large] "
    return number, ""
