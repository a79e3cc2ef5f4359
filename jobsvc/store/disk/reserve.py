"""A little room on the database's disk that is kept for when there is none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 8 * 1024 * 1024
"""Some hundred small transactions, and the index of SQLite's log."""


class Reserve:
    """A file of so many bytes, really there. Safe to share among threads: the second caller finds it done."""

    def __init__(self, path: Path, size: int = RESERVE_BYTES) -> None:
        self.path = path
        self.size = size
        self._kept = path.exists()

    @property
    def is_kept(self) -> bool:
        return self._kept

    def keep(self) -> bool:
        """Make it, unless it is there. Returns whether it is there now."""
        if not self._kept:
            try:
                self._allocate()
            except OSError:
                self.give_up()
                return False
            self._kept = True
        return True

    def give_up(self) -> None:
        """Let others have the room."""
        self._kept = False
        with suppress(OSError):
            self.path.unlink()

    def _allocate(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, self.size)
            else:
                os.pwrite(descriptor, bytes(self.size), 0)
        finally:
            os.close(descriptor)
