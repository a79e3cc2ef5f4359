"""Telling the threads that wait that something about jobs has changed."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition


class Notifier:
    """A counter that goes up with every change that somebody may wait for. `_changed` guards it.

    A thread that waits notes the version, looks at the database, and waits for a later
    version if it hasn't found what it wants; so no change is missed.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._version = 0
        self._listeners: list[Callable[[], None]] = []

    def notify(self) -> None:
        """Something has changed; the database says what."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()
        for listener in self._listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener`, which must return at once, at each change. To be used before there are any."""
        self._listeners.append(listener)

    def version(self) -> int:
        with self._changed:
            return self._version

    def wait(self, version: int, seconds: float) -> bool:
        """Wait for a change after `version`. Returns False if there is none in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._version != version, max(0.0, seconds))
