"""Strays in a folder."""

from __future__ import annotations

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
        for job_id, path in _ours(self._directory):
            if job_id in known:
                continue
            with done.trying(path.name):
                if not is_ours(path):
                    continue
                if job_id in forgotten:
                    remove(path)
                    done.removed.append(path.name)
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
            for job_id, path in _ours(folder):
                name = f"{STRAYS}/{folder.name}/{path.name}"
                place = self._directory / path.name
                with done.trying(name):
                    if not is_ours(path):
                        continue
                    if job_id in known and not place.exists():
                        path.rename(place)
                        done.back.append(path.name)
                    elif job_id in forgotten or at - moved >= KEPT:
                        remove(path)
                        done.removed.append(name)
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


def _ours(folder: Path) -> Iterator[tuple[str, Path]]:
    """Everything in a folder that has a name of our shape, with the job's id."""
    for path in sorted(folder.iterdir()):
        job_id = owner(path.name)
        if job_id is not None:
            yield job_id, path
