"""How long a thread keeps Python's interpreter lock while others wait for it."""

from __future__ import annotations

import sys

SWITCH_SECONDS = 0.0005
"""See docs/decisions/0074-one-write-path.md for what others cost."""


def take_short_turns() -> None:
    """Have busy threads hand the lock on sooner than Python's 5 ms, of which each request would wait some.

    A request takes and gives the lock at every read, write and statement, and so does the
    thread that commits, and a worker's loop at every message; a run that parses rows gives it
    only when it has to.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
