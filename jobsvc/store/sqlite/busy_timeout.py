"""How long a connection of SQLite waits for a lock that another process holds."""

from __future__ import annotations

import sqlite3
from typing import Any

_KEY = "jobsvc_busy_timeout"


def tell(driver: sqlite3.Connection, info: dict[Any, Any], milliseconds: int) -> None:
    """Have it wait for that long, if it does not yet. `info` is what the pool keeps for this connection of the driver.

    It is told only what is new: each statement may have to wait for the interpreter three times.
    """
    if info.get(_KEY) == milliseconds:
        return
    info.pop(_KEY, None)
    # As a script: each number is another statement, and would drive the long ones out of the cache.
    driver.executescript(f"PRAGMA busy_timeout={milliseconds}")
    info[_KEY] = milliseconds
