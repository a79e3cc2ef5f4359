"""Where a request waits: each holds a thread of the server while it does, so that there are few places."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import Protocol

MOST = 8
"""A quarter of the threads that answer requests."""


class Place(Protocol):
    def take(self) -> bool:
        """Returns False, at once, where too many others wait."""

    def give_back(self) -> None: ...

    def client_is_gone(self) -> bool:
        """Whether nobody will read the answer, as far as that can be noticed. Returns at once."""


class OwnPlaces:
    """The places under a server that does not count: `MOST` of them. Safe to share among threads."""

    def __init__(self, most: int = MOST) -> None:
        self._free = BoundedSemaphore(most)

    def take(self) -> bool:
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        self._free.release()

    def client_is_gone(self) -> bool:
        return False
