"""Rows of the list, each made once for as long as its job stays the same: most of those on a page do."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields
from operator import attrgetter
from threading import Lock

from markupsafe import Markup

from jobsvc.jobs.job import Job

MANY = 2000
"""So many are kept, those that were shown last: some megabytes."""

_NOT_SHOWN = ("params", "warnings", "applied_as")
"""What of a job can't be in a key: its parameters never change, the others are in no row."""

state_of: Callable[[Job], Hashable] = attrgetter(*(field.name for field in fields(Job) if field.name not in _NOT_SHOWN))
"""All that may be another at another time, as a part of a key."""


class Rows:
    """Safe to share among threads: a lock guards what is kept, and is not held while a row is made."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Markup] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], str]) -> Markup:
        """The row with this key, from `make` if it is not kept. `make` escapes what is not its own."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        made = Markup(make())  # noqa: S704 (a template made it)
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._many:
                self._kept.popitem(last=False)
        return made
