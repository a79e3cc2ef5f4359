"""How many wrong keys somebody may try at the login page."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from math import ceil
from threading import Lock
from time import monotonic

ALLOWED = 10
"""Wrong keys, from one address."""

SECONDS = 60.0
"""In so long; then it begins anew."""

ADDRESSES = 10_000
"""How many addresses are remembered, the latest."""

PREFIX_BITS = 64
"""One customer of a provider has so much of IPv6 at least."""


class Attempts:
    """A lock guards what is remembered; nobody holds it while he waits for anything."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        """`now` is in seconds."""
        self._now = now
        self._lock = Lock()
        self._tried: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """By address: when it began, and how many were wrong since."""

    def wait(self, address: str) -> int:
        """Seconds, whole ones, until that address may try again; 0: now."""
        with self._lock:
            began, wrong = self._tried.get(_of(address), (0.0, 0))
            left = began + SECONDS - self._now()
            return ceil(left) if wrong >= ALLOWED and left > 0 else 0

    def note_wrong(self, address: str) -> None:
        """A key was wrong."""
        with self._lock:
            name, now = _of(address), self._now()
            began, wrong = self._tried.pop(name, (now, 0))
            self._tried[name] = (now, 1) if began + SECONDS <= now else (began, wrong + 1)
            if len(self._tried) > ADDRESSES:
                self._tried.popitem(last=False)


def _of(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return f"{int(found) >> (128 - PREFIX_BITS):x}::"
    return str(getattr(found, "ipv4_mapped", None) or found)
