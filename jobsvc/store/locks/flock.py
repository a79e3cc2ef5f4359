"""flock on files and directories: taking it, waiting for a server's old worker to let go, and naming who has it."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

RETRY_SECONDS = 0.05


class DirectoryInUse(Exception):
    """Another process uses the data directory, or the database in it; the text names it and the way out."""


@dataclass(frozen=True)
class Holder:
    """The process that has a lock, as far as it is known."""

    pid: int
    parent: int | None
    host: str
    since: str | None = None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" + (f", since {self.since}" if self.since else "")


@dataclass(frozen=True)
class Handover:
    """For how long a process waits for a lock: a server's worker, for the one that it replaces in a reload."""

    in_worker: bool
    deadline: float

    @classmethod
    def of(cls, handover_seconds: float) -> Handover:
        return cls(handover_seconds > 0, monotonic() + handover_seconds)


def take(descriptor: int, handover: Handover, what: str, noted: Callable[[], Holder | None] = lambda: None) -> None:
    """Take the lock on `what`. Raises DirectoryInUse if another process has it.

    If the holder is a child of the same parent, it is most likely the worker that this
    one replaces: wait for its end. `noted` is who the holder says that it is.
    """
    while not _try(descriptor):
        holder = noted() or told_by_the_kernel(descriptor)
        sibling = handover.in_worker and (holder is None or holder.parent == os.getppid())
        if not sibling or monotonic() > handover.deadline:
            raise DirectoryInUse(_explain(what, holder, sibling))
        sleep(RETRY_SECONDS)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def told_by_the_kernel(descriptor: int) -> Holder | None:
    """Who has a lock on the same file, by Linux's list of locks; None too on a system that has no such list."""
    inode = os.fstat(descriptor).st_ino
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            found = re.search(rf" FLOCK .* (\d+) \w+:\w+:{inode} ", line)
            if found and int(found[1]) > 0:
                return Holder(int(found[1]), _parent_of(int(found[1])), socket.gethostname())
    return None


def _parent_of(pid: int) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _explain(what: str, holder: Holder | None, sibling: bool) -> str:
    who = str(holder or "another process on this machine")
    if sibling:
        return (
            f"{what} is in use by {who}, another worker of the same server. "
            "With SQLite there can be one worker process: run gunicorn with --workers 1 (and more --threads), "
            "or use PostgreSQL (DATABASE_URL=postgresql://…) for more than one"
        )
    return (
        f"{what} is in use by {who}. "
        "Stop that process, or give this one a directory of its own with JOBSVC_DATA_DIR, "
        "or use PostgreSQL (DATABASE_URL=postgresql://…) for more than one process"
    )
