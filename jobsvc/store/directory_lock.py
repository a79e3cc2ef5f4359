"""One process for each data directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

RETRY_SECONDS = 0.05


class DirectoryInUse(Exception):
    """Another process uses the data directory; the text names it and the way out."""


class DirectoryLock:
    """An advisory lock on a data directory, held until `release` or the end of the process.

    The kernel releases it when the process dies, however it dies.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._path = directory / "jobsvc.lock"
        self._descriptor: int | None = None

    def acquire(self, handover_seconds: float) -> None:
        """Take the lock. Raises DirectoryInUse if another process has it.

        With `handover_seconds` above 0 this process is a server's worker. If the
        holder is a child of the same parent, it is most likely the worker that this
        one replaces in a reload: up to that long is waited for it to end.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        deadline = monotonic() + handover_seconds
        try:
            while not _try_lock(descriptor):
                holder = _read_holder(descriptor)
                sibling = handover_seconds > 0 and holder.get("parent") == os.getppid()
                if not sibling or monotonic() > deadline:
                    raise DirectoryInUse(self._explain(holder, sibling))
                sleep(RETRY_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        me = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(me).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let the next process have the directory. Harmless if the lock isn't held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _explain(self, holder: dict[str, object], sibling: bool) -> str:
        who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'this machine')}"
        if sibling:
            return (
                f"the data directory {self._directory} is in use by {who}, another worker of the same server. "
                "With SQLite there can be one worker process: run gunicorn with --workers 1 (and more --threads), "
                "or use PostgreSQL (DATABASE_URL=postgresql://…) for more than one"
            )
        return (
            f"the data directory {self._directory} is in use by {who}, since {holder.get('since', 'unknown')}. "
            "Stop that process, or give this one a directory of its own with JOBSVC_DATA_DIR, "
            "or use PostgreSQL (DATABASE_URL=postgresql://…) for more than one process"
        )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> dict[str, object]:
    """What the holder wrote; empty while it has yet to write."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
