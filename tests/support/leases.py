"""Leases of workers, as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Paper:
    """A lease that a test closes. Implements `runs.signals.Lease`."""

    def __init__(self) -> None:
        self.closed = False
        self.under_way = 0

    def is_closed(self) -> bool:
        return self.closed

    @contextmanager
    def items_under_way(self) -> Iterator[None]:
        self.under_way += 1
        yield
        self.under_way -= 1
