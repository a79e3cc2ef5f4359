"""What in a folder is ours: which names, and how they are removed without anything else."""

from __future__ import annotations

import errno
import logging
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from jobsvc.files.job_ids import SHAPE
from jobsvc.files.output_parts import is_made

log = logging.getLogger(__name__)

INPUT = ".input"
OUTPUT = ".output"
UNNAMED_PART = ".output.part"

_NAME = re.compile(rf"({SHAPE})(?:{re.escape(INPUT)}|{re.escape(OUTPUT)}|{re.escape(UNNAMED_PART)})")

TIMES = 10
"""How often to empty a folder that a late run still writes into."""


def owner(name: str) -> str | None:
    """The id of the job that a file or folder of that name would belong to; None if the name is not of our making."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def is_ours(path: Path) -> bool:
    """Whether a path, whose name is ours, also holds what we make: a file, or a folder of a run's files alone."""
    if path.is_symlink():
        return False
    if path.is_dir():
        return path.name.endswith(OUTPUT) and all(is_made(inner.name) and inner.is_file() for inner in path.iterdir())
    return True


def changed(path: Path) -> datetime:
    """When a file, or anything in a folder, was last changed."""
    moments = [path.stat().st_mtime]
    if path.is_dir():
        moments += [inner.stat().st_mtime for inner in path.iterdir()]
    return datetime.fromtimestamp(max(moments), UTC)


def empty(folder: Path, keep: str | None = None) -> None:
    """Remove what runs have made in a folder, but for the file `keep`."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if path.name != keep and is_made(path.name) and not path.is_dir():
                path.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, or a folder of what runs have made. With anything else in it, the folder stays."""
    for _ in range(TIMES):
        try:
            path.unlink(missing_ok=True)
        except (IsADirectoryError, PermissionError):
            # What unlink says of a folder depends on the system.
            if not path.is_dir():
                raise
        else:
            return
        empty(path)
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
    log.warning("%s stays, with what is in it and was not made here", path)
