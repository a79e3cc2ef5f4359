"""What a kind did outside the database, as the other side sees it."""

from __future__ import annotations

from threading import Lock
from typing import Any


class Outside:
    """Stands for another service, which knows by its key a call that it has had before.

    After a crash or a stop, an item may be done again outside the database, with the
    same `item.key`. So `effects` has each key once; a call that comes again with
    *another* content is an effect of its own. Safe to share among threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls: list[tuple[str, Any]] = []
        """Guarded by `_lock`."""

    def note(self, key: str, content: Any = None) -> None:
        """Take a call: `process` of the kind under test makes it."""
        with self._lock:
            self._calls.append((key, content))

    def clear(self) -> None:
        """Forget all calls: for `reset=`."""
        with self._lock:
            self._calls.clear()

    def effects(self) -> list[tuple[str, Any]]:
        """The different calls, by key: for `outcome=`."""
        return sorted(set(self.calls()), key=repr)

    def calls(self) -> list[tuple[str, Any]]:
        """Every call, also those that came again, in order."""
        with self._lock:
            return list(self._calls)
