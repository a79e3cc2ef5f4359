"""What is read once for all that ask within a moment."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH_SECONDS = 1.0
"""How long what was read answers further calls."""

KEPT = 100
"""So many readings are kept, each for another caller."""


class Cached(Generic[T]):
    """Safe to share among threads. `_lock` guards `_found` and `_reading`, and is not held while something is read.

    While one thread reads anew, others take what was found before. If there is nothing yet, each reads by itself.
    """

    def __init__(self, read: Callable[[str | None], T], clock: Callable[[], float] = monotonic) -> None:
        """`read` is given whom to read for, and may raise what it likes: then nothing is kept."""
        self._read = read
        self._clock = clock
        self._lock = Lock()
        self._found: dict[str | None, tuple[float, T]] = {}
        self._reading: set[str | None] = set()

    def get(self, whom: str | None = None) -> T:
        """What is read for somebody, or was a moment ago."""
        with self._lock:
            found = self._found.get(whom)
            if found is not None and (self._clock() < found[0] + FRESH_SECONDS or whom in self._reading):
                return found[1]
            self._reading.add(whom)
        try:
            at = self._clock()
            value = self._read(whom)
        except BaseException:
            with self._lock:
                self._reading.discard(whom)
                # What was found before is no answer any more.
                self._found.pop(whom, None)
            raise
        with self._lock:
            self._reading.discard(whom)
            # The one that was read first goes first.
            self._found.pop(whom, None)
            self._found[whom] = (at, value)
            while len(self._found) > KEPT:
                del self._found[next(iter(self._found))]
        return value
