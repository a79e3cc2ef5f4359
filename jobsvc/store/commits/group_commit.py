"""One transaction for what several runs have ready: they share its wait for the disk.

A run hands over what its checkpoint is to write, and may prepare its next batch while that
is written and brought to the disk: SQLite lets go of the interpreter lock for both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic
from typing import Any

from sqlalchemy import Connection, NestedTransaction

from jobsvc.store.commits.at_once import AtOnce, Begin, T, Write, write_alone
from jobsvc.store.errors import DatabaseBusy, DatabaseClosed, DatabaseDown

GROUP_SECONDS = 0.025
"""After so long no further checkpoint joins a transaction: about how long others wait for their turn to write."""


@dataclass(frozen=True, eq=False)
class _Entry:
    write: Write[Any]
    urgent: Callable[[], bool]
    context: Context = field(default_factory=copy_context)
    """That of the thread which hands it over: its lines of the log say what they are about."""
    done: Future[Any] = field(default_factory=Future)


class GroupCommit:
    """Implements `Committer`. `_changed` guards `_waiting`, `_thread` and `_closed`; it is held for a few
    instructions only.

    Everything is written on one thread, which begins with the first that is handed over, and ends with `close`.
    """

    def __init__(
        self,
        begin: Begin,
        others_in_a_hurry: Callable[[], bool],
    ) -> None:
        """`others_in_a_hurry` tells whether somebody waits for the turn to write who is to go ahead."""
        self._begin = begin
        self._others_in_a_hurry = others_in_a_hurry
        self._changed = Condition()
        self._waiting: deque[_Entry] = deque()
        self._thread: Thread | None = None
        self._closed = False

    def submit(self, write: Write[T], urgent: Callable[[], bool]) -> Future[T]:
        """See `Committer`. An error of one leaves the others as they are."""
        entry = _Entry(write, urgent)
        with self._changed:
            if self._has_thread():
                self._waiting.append(entry)
                self._changed.notify()
                return entry.done
        return AtOnce(self._begin).submit(write, urgent)

    def close(self) -> None:
        """Take nothing more. Waits for nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _has_thread(self) -> bool:
        """See that the thread runs. Returns False where there is to be none, or can be none. The caller holds
        `_changed`."""
        if self._thread is None and not self._closed:
            thread = Thread(target=self._run, name="jobsvc-committer", daemon=True)
            with suppress(RuntimeError):
                thread.start()
                self._thread = thread
        return self._thread is not None and not self._closed

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                    if not self._waiting:
                        return
                self._write_group()
        finally:
            # Whatever ended it: what is handed over later begins another one, and nobody waits for this one.
            with self._changed:
                self._thread = None
                while self._waiting:
                    self._waiting.popleft().done.set_exception(DatabaseBusy("the thread that commits has ended"))

    def _write_group(self) -> None:
        """One transaction: the first that waits, and those that come within GROUP_SECONDS, until somebody is in a
        hurry."""
        joined: list[_Entry] = []
        values: list[Any] = []
        try:
            with self._begin(self._is_urgent) as connection:
                until = monotonic() + GROUP_SECONDS
                while (entry := self._next()) is not None:
                    joined.append(entry)
                    if not self._write(connection, entry, values):
                        joined.pop()
                    if monotonic() >= until or entry.urgent() or self._others_in_a_hurry():
                        break
        except BaseException as error:
            # Nothing of it is committed.
            if len(joined) > 1 and not isinstance(error, DatabaseDown | DatabaseClosed):
                # One of them fails at the commit, or has broken the transaction, and nobody says which.
                for entry in joined:
                    self._write_alone(entry)
                return
            # Whoever could not even begin would fare no better now.
            for entry in joined or self._all_waiting():
                entry.done.set_exception(error)
            return
        for entry, value in zip(joined, values, strict=True):
            entry.done.set_result(value)

    def _write_alone(self, entry: _Entry) -> None:
        write_alone(self._begin, lambda connection, _: self._value(connection, entry), entry.urgent, entry.done)

    def _write(self, connection: Connection, entry: _Entry, values: list[Any]) -> bool:
        """Write one, and add what it returns. Returns whether it did; if not, what the others wrote stays."""
        if not values:
            # There is nothing to keep: where it fails, the transaction does.
            values.append(self._value(connection, entry))
            return True
        savepoint = connection.begin_nested()
        try:
            value = self._value(connection, entry)
        except BaseException as error:
            _roll_back(savepoint, error)
            entry.done.set_exception(error)
            return False
        savepoint.commit()
        values.append(value)
        return True

    def _value(self, connection: Connection, entry: _Entry) -> Any:
        return entry.context.run(entry.write, connection, self._is_somebody_in_a_hurry)

    def _next(self) -> _Entry | None:
        with self._changed:
            if not self._waiting:
                return None
            entry = next((entry for entry in self._waiting if entry.urgent()), self._waiting[0])
            self._waiting.remove(entry)
            return entry

    def _all_waiting(self) -> list[_Entry]:
        with self._changed:
            entries = list(self._waiting)
            self._waiting.clear()
            return entries

    def _is_urgent(self) -> bool:
        with self._changed:
            return any(entry.urgent() for entry in self._waiting)

    def _is_somebody_in_a_hurry(self) -> bool:
        return self._others_in_a_hurry() or self._is_urgent()


def _roll_back(savepoint: NestedTransaction, error: BaseException) -> None:
    """Undo what one has written that failed with `error`. Raises where the whole transaction is broken."""
    try:
        savepoint.rollback()
    except Exception as broken:
        # What has broken it says more than that it is broken.
        raise (error if isinstance(error, DatabaseDown) else broken) from broken
