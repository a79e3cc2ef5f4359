"""Strays in a folder."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from jobsvc.files.local.folder import changed, is_ours, owner, remove
from jobsvc.files.strays import KEPT, STRAYS, Tidied, moment, moved_at


class LocalStrays:
    """Of `directory`. What it looks at and moves has a name of our own shape; all else might not be there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._aside = directory / STRAYS

    def tidy(
        self, known: Collection[str], forgotten: Collection[str], at: datetime, older_than: timedelta | None
    ) -> Tidied:
        """Implements `Files.tidy_strays`."""
        done = Tidied()
        for folder in self._folders():
            self._settle(folder, known, forgotten, at, done)
        with suppress(OSError):
            self._aside.rmdir()
        for job_id, name in _ours(self._directory):
            if job_id in known:
                continue
            path = self._directory / name
            with done.trying(name):
                if not is_ours(path):
                    continue
                if job_id in forgotten:
                    remove(path)
                    done.removed.append(name)
                elif older_than is None or changed(path) < at - older_than:
                    done.aside.append(self._move_aside(path, at))
        return done

    def _folders(self) -> list[Path]:
        with suppress(OSError):
            return [folder for folder in sorted(self._aside.iterdir()) if moved_at(folder.name)]
        return []

    def _settle(
        self, folder: Path, known: Collection[str], forgotten: Collection[str], at: datetime, done: Tidied
    ) -> None:
        moved = moved_at(folder.name)
        assert moved is not None
        with done.trying(folder.name):
            for job_id, name in _ours(folder):
                path, place = folder / name, self._directory / name
                aside = f"{STRAYS}/{folder.name}/{name}"
                with done.trying(aside):
                    if not is_ours(path):
                        continue
                    if job_id in known and not place.exists():
                        path.rename(place)
                        done.back.append(name)
                    elif job_id in forgotten or at - moved >= KEPT:
                        remove(path)
                        done.removed.append(aside)
        with suppress(OSError):
            folder.rmdir()

    def _move_aside(self, path: Path, at: datetime) -> str:
        folder = self._aside / moment(at)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.name
        if target.exists():
            raise FileExistsError(f"{target} is there already")
        path.rename(target)
        return target.relative_to(self._directory).as_posix()


def _ours(folder: Path) -> Iterator[tuple[str, str]]:
    """The ids of jobs and the names of everything in a folder whose name has our shape.

    A start comes by here with the files of all jobs: paths are made only of those that something is done with.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        job_id = owner(name)
        if job_id is not None:
            yield job_id, name
