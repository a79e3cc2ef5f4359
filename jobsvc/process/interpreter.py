"""How Python's interpreter is shared by threads that compute and threads that answer."""

from __future__ import annotations

import gc
import sys

SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter's lock while others wait for it."""


def take_short_turns() -> None:
    """Have busy threads hand the lock on sooner than Python's 5 ms, of which each request would wait some.

    A request takes and gives the lock at every read, write and statement, and so does the
    thread that commits, and a worker's loop at every message; a run that parses rows gives it
    only when it has to.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def leave_out_what_stays() -> None:
    """Have the collector of garbage pass over everything that there is by now, as it stays as long as the process.

    All threads wait while it looks at some hundred thousand objects, again and again. From now on it works, also
    where a start has left it aside until here.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
