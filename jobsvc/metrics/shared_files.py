"""The files in which the processes of one web server keep what they measure, so that each of them can tell all of it.

prometheus_client writes them (its multi-process mode), and decides that it does so while it is imported,
by an environment variable: nothing here imports it before it is needed.

The server's first process makes the directory before it starts any other one, and removes it at its end.
It is a new one each time, so that nothing old is in it. What a server has left that was killed, the next one
removes, which it can tell by a lock on a file in it that the processes of its server hold as long as one is alive.

The files are mapped into memory: to write where the disk has no room ends the process (SIGBUS). So each process takes
the room for its files before they are mapped, and keeps its values in its own memory if there is none.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

PREFIX = "jobsvc-metrics-"

ALIVE = "alive.lock"
"""Locked as long as a process of the server is alive."""

READING = "reading.lock"
"""Locked by those that read the files, together, and by the one that puts those of the dead into one, alone."""

DEAD = "dead"
"""In the name of a file that has what all dead processes have counted, in place of a process id."""

_ADDED_UP = ("counter", "histogram")
"""The types of files whose values stay when their process has ended."""

_ROOM = {"counter": 256 * 1024, "histogram": 1024 * 1024, "gauge_livesum": 64 * 1024}
"""The types of files, and the bytes that each has room for: a value takes about 140, and labels are few. Past that,
prometheus_client makes them larger by itself."""


def directory() -> Path | None:
    """The directory of this process's server, if it has one: nobody else's, whatever the environment names."""
    named = Path(os.environ.get(VARIABLE, ""))
    return named if named.name.startswith(PREFIX) else None


def settle() -> None:
    """Have prometheus_client keep its values in files only where that is ours; to be called before it is imported."""
    if directory() is None:
        os.environ.pop(VARIABLE, None)


def begin(parent: Path | None = None) -> Path | None:
    """Make a directory, in that for temporary files unless told otherwise, for this process and those it starts.

    Returns None, and each process keeps its values to itself, if there is no room.
    """
    parent = parent or Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        _remove_if_left(left)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    # It stays open: the lock ends with the last process that has it. Only with the lock it gets the name by
    # which a server that starts at this moment could take the directory for one that is left.
    unlocked = made / f"{ALIVE}.new"
    alive = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(alive, True)
    fcntl.flock(alive, fcntl.LOCK_EX)
    unlocked.rename(made / ALIVE)
    if not _take_room(made, DEAD, _ADDED_UP):
        shutil.rmtree(made, ignore_errors=True)
        return None
    os.environ[VARIABLE] = str(made)
    return made


def reserve() -> None:
    """Take the room for the files of this process, before it imports prometheus_client."""
    where = directory()
    if where is not None and not _take_room(where, str(os.getpid()), _ROOM):
        os.environ.pop(VARIABLE)


def _take_room(where: Path, whose: str, kinds: Iterable[str]) -> bool:
    """Make the files of those types, at full size. Returns False, with none left, if there is no room for all."""
    made = [where / f"{kind}_{whose}.db" for kind in kinds]
    try:
        for path, kind in zip(made, kinds, strict=True):
            with path.open("xb", buffering=0) as file:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, _ROOM[kind])
                else:
                    file.write(bytes(_ROOM[kind]))
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        log.warning("no room in %s: /metrics tells only what the process has measured that answers: %s", where, error)
        return False
    return True


def end() -> None:
    """Remove the directory: no process needs it any more."""
    if (mine := directory()) is not None:
        shutil.rmtree(mine, ignore_errors=True)


def _remove_if_left(found: Path) -> None:
    """One without a lock, or of somebody else, is left alone: it may just be made."""
    try:
        alive = os.open(found / ALIVE, os.O_RDWR)
    except OSError:
        return
    try:
        fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(found, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(alive)


def files(where: Path) -> list[str]:
    """The files with values; one that is just being made has none."""
    return [str(path) for path in sorted(where.glob("*.db")) if path.stat().st_size]


@contextmanager
def read(where: Path) -> Iterator[None]:
    """During the block, no file goes away and none is counted twice."""
    with (where / READING).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def bury(pid: int) -> bool:
    """Add what a process has counted that has ended to what the dead have counted, so that no file of it is left.

    Never waits: returns False, with nothing done, while somebody reads. Then call it again later.
    """
    where = directory()
    if where is None:
        return True
    with (where / READING).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        _bury(where, pid)
    return True


def _bury(where: Path, pid: int) -> None:
    from prometheus_client.mmap_dict import MmapedDict  # noqa: PLC0415

    for kind in _ADDED_UP:
        of_process = where / f"{kind}_{pid}.db"
        if of_process.exists() and of_process.stat().st_size:
            of_dead = MmapedDict(str(where / f"{kind}_{DEAD}.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(of_process)):
                before, _ = of_dead.read_value(key)
                of_dead.write_value(key, before + value, 0.0)
            of_dead.close()
        of_process.unlink(missing_ok=True)
    for gauge in where.glob(f"gauge_*_{pid}.db"):
        gauge.unlink(missing_ok=True)
