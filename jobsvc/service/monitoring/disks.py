"""How much room there is on the disks that the service fills."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Disk(NamedTuple):
    """A disk, by what it holds. Sizes are in bytes."""

    holds: str
    free: int
    total: int


def look(places: Mapping[str, Path]) -> Sequence[Disk]:
    """The disks on which these directories are, or will be; without those of which the system says nothing."""
    found = []
    for what, directory in places.items():
        try:
            at = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
            usage = shutil.disk_usage(at)
        except OSError:
            continue
        found.append(Disk(what, usage.free, usage.total))
    return found
