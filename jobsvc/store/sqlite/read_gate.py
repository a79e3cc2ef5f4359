"""Where readers of SQLite register, so that for a moment somebody can have the database without readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident

from jobsvc.deadlines import Deadline
from jobsvc.store.errors import DatabaseBusy


class ReadGate:
    """`_changed` guards `_inside` and `_shut`; it is held for a few instructions only."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside: Counter[int] = Counter()
        """How many transactions each thread reads in, by its number: one can be within another."""
        self._shut = False

    @contextmanager
    def reading(self, deadline: Deadline | None) -> Iterator[None]:
        """Be inside for the block's length. Raises DatabaseBusy if the gate stays shut until the deadline."""
        me = get_ident()
        with self._changed:
            # This thread is inside already: the gate waits for it, so that it would wait for itself.
            if self._shut and me not in self._inside:
                within = None if deadline is None else deadline.left()
                if not self._changed.wait_for(lambda: not self._shut, within):
                    raise DatabaseBusy("the log of the database is being given back")
            self._inside[me] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[me] -= 1
                if not self._inside[me]:
                    del self._inside[me]
                    self._changed.notify_all()

    @contextmanager
    def shut(self, seconds: float) -> Iterator[bool]:
        """Let no reader in during the block.

        It is told whether all readers that were inside left within `seconds`; one that
        is inside itself is told so at once. For one caller at a time.
        """
        with self._changed:
            self._shut = True
            alone = get_ident() not in self._inside and self._changed.wait_for(lambda: not self._inside, seconds)
        try:
            yield alone
        finally:
            with self._changed:
                self._shut = False
                self._changed.notify_all()
