"""Which connection is closed when there are too many."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic

from jobsvc.process.http.connection import Connection, Stage

SHELTER_SECONDS = 1.0
"""In seconds: no connection is closed that is newer, however many there are. Its first request may be on its way."""


def connection_to_close(connections: Iterable[Connection]) -> Connection | None:
    """Of the connections that no thread has, the one that will be missed least; None if all have only just come.

    What a connection waits for says little: a client can send half a request at no cost. What
    no client can choose is how long ago its request should have come.
    """
    now = monotonic()
    found = [conn for conn in connections if conn.stage is Stage.LINGERING or not _has_shelter(conn, now)]
    return min(found, key=_rank, default=None)


def _has_shelter(conn: Connection, now: float) -> bool:
    return not conn.initialized and now - conn.since < SHELTER_SECONDS


def _rank(conn: Connection) -> tuple[int, float]:
    if conn.stage is Stage.LINGERING:
        return 0, conn.since
    if conn.stage is Stage.IDLE and conn.initialized:
        return 1, conn.since
    return 2, conn.since
