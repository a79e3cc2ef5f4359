"""The live parts of pages, made once for all who look at the same: fifty open pages cost as much as one."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import NamedTuple

FRESH = "X-Fresh"
"""The header of a request that wants the part made anew: its sender has just changed something."""

SECONDS = 1.0
"""For so long a part is given to others."""

STALE_SECONDS = 3.0
"""For so long it is, while somebody is making the next one."""

MANY = 256
"""So many parts are kept."""


class Fragment(NamedTuple):
    text: str
    body: bytes
    """The text as it is sent."""
    tag: str
    """Another one whenever the text is."""
    began: float
    """When its making began: it shows what was so then."""


class Fragments:
    """Safe to share among threads.

    A lock guards what is kept, and who makes what; it is never held while something is made.
    """

    def __init__(self, now: Callable[[], float] = monotonic, many: int = MANY) -> None:
        """`now` is in seconds; `many` parts are kept, those that were asked for last."""
        self._now, self._many = now, many
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Fragment] = OrderedDict()
        self._being_made: set[Hashable] = set()

    def get(self, key: Hashable, make: Callable[[], str], *, fresh: bool = False) -> Fragment:
        """The part with this key, from `make` if there is none that is new enough; if `fresh`, in any case."""
        began = self._now()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and not fresh:
                self._kept.move_to_end(key)
                if began - kept.began < (STALE_SECONDS if key in self._being_made else SECONDS):
                    return kept
            first = key not in self._being_made
            self._being_made.add(key)
        try:
            text = make()
        finally:
            if first:
                with self._lock:
                    self._being_made.discard(key)
        body = text.encode(errors="replace")
        made = Fragment(text, body, hashlib.blake2b(body, digest_size=12).hexdigest(), began)
        with self._lock:
            kept = self._kept.get(key)
            # One that somebody else began later shows more.
            if kept is None or kept.began < began:
                self._kept[key] = made
                self._kept.move_to_end(key)
                if len(self._kept) > self._many:
                    self._kept.popitem(last=False)
        return made
