"""Processes that hold the lock on a data directory, for tests of who waits for whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

_PROGRAM = """
import sys
from pathlib import Path
from jobsvc.store.locks.directory_lock import DirectoryLock
from jobsvc.store.locks.flock import DirectoryInUse

lock = DirectoryLock(Path(sys.argv[1]))
print("tries", flush=True)
try:
    lock.acquire(float(sys.argv[2]))
except DirectoryInUse as error:
    print(error, flush=True)
else:
    print("holds", flush=True)
    sys.stdin.readline()
    lock.release()
"""


class LockHolder:
    """A process of its own that takes the lock, and holds it until `end`."""

    def __init__(self, directory: Path, handover_seconds: float = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(directory), str(handover_seconds)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self.says() == "tries"

    def says(self) -> str:
        """The next line that it prints; waited for."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        self._process.communicate("\n", timeout=30)
