"""How many uploads of a user may be under way at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Protocol

from jobsvc.jobs.errors import TooManyUploads


class Places(Protocol):
    """Places that each user has so many of."""

    def take(self, name: str, places: int) -> int | None:
        """Take a place, if one of so many is free; returns its number."""

    def give_back(self, name: str, number: int) -> None: ...


class OwnPlaces:
    """Those of a process that answers all requests alone. A lock guards the count."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken: Counter[str] = Counter()

    def take(self, name: str, places: int) -> int | None:
        with self._lock:
            if self._taken[name] >= places:
                return None
            self._taken[name] += 1
            return self._taken[name]

    def give_back(self, name: str, number: int) -> None:
        with self._lock:
            self._taken[name] -= 1
            # Of users without uploads nothing is kept.
            self._taken += Counter()


class Uploads:
    """Safe to share among threads, as the places are. With `most` = 0 there is no limit."""

    def __init__(self, places: Places, most: int) -> None:
        self._places, self._most = places, most

    @contextmanager
    def one_of(self, user: str) -> Iterator[None]:
        """While a file of the user is received. Raises TooManyUploads, and what the database raises."""
        if not self._most:
            yield
            return
        name = f"jobsvc uploads of {user}"
        number = self._places.take(name, self._most)
        if number is None:
            raise TooManyUploads(user, allowed=self._most)
        try:
            yield
        finally:
            self._places.give_back(name, number)
