"""One process for each data directory."""

from __future__ import annotations

import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from jobsvc.store.locks.flock import Handover, Holder, take, told_by_the_kernel

NO_LOCKS_ON_DIRECTORIES = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EISDIR, errno.ENOSYS, errno.EOPNOTSUPP}
"""The errors of file systems, such as NFS, that lock only files open for writing."""


NOTE = "jobsvc.lock"
"""The name of the file in which the holder says who it is."""


class DirectoryLock:
    """An advisory lock on a data directory, held until `release` or the end of the process.

    It is held on the file `jobsvc.lock`, in which the holder says who it is, and on
    the directory itself: that one can't be removed while it is in use, nor be
    mistaken for another when it is reached by another path. The kernel releases
    both when the process dies, however it dies.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._path = directory / NOTE
        self._descriptors: list[int] = []

    def acquire(self, handover_seconds: float) -> None:
        """Take the lock. Raises DirectoryInUse if another process has it.

        With `handover_seconds` above 0 this process is a server's worker. If the
        holder is a child of the same parent, it is most likely the worker that this one
        replaces in a reload: wait up to that long for its end.
        """
        handover = Handover.of(handover_seconds)
        what = f"the data directory {self._directory}"
        try:
            note = self._open(self._path, os.O_RDWR | os.O_CREAT)
            take(note, handover, what, lambda: _noted(note))
            directory = self._open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                take(directory, handover, what)
            except OSError as error:
                if error.errno not in NO_LOCKS_ON_DIRECTORIES:
                    raise
        except BaseException:
            self.release()
            raise
        me = {
            "pid": os.getpid(),
            "parent": os.getppid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(note, 0)
        os.pwrite(note, json.dumps(me).encode(), 0)

    def release(self) -> None:
        """Let the next process have the directory. Harmless if the lock isn't held."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _open(self, path: Path, flags: int) -> int:
        self._descriptors.append(os.open(path, flags | os.O_CLOEXEC, 0o644))
        return self._descriptors[-1]


def holder_of(directory: Path) -> Holder | None:
    """The process that has the lock at this moment, without taking it; None if nobody has, as far as Linux tells."""
    try:
        note = os.open(directory / NOTE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = told_by_the_kernel(note)
        return holder and (_noted(note) or holder)
    finally:
        os.close(note)


def _noted(descriptor: int) -> Holder | None:
    """What the holder wrote; None while it has yet to write."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        return Holder(found["pid"], found["parent"], found["host"], found["since"])
    except (ValueError, KeyError, TypeError):
        return None
