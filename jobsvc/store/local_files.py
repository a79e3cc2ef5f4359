"""The files of all jobs in a folder, local or shared:

    <job id>.input
    <job id>.output/<start>-<attempt>.part    while the output is unfinished
    <job id>.output/result.<attempt>

Jobs that came to their end before outputs had folders have the file `<job id>.output`,
and those that were interrupted then `<job id>.output.part`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from jobsvc.clock import now
from jobsvc.store.files import READ_AHEAD_BYTES, Files, NewInput, Result, StopSign
from jobsvc.store.local_output import LocalOutput, flush_directory
from jobsvc.store.output_parts import result_name

INPUT = ".input"
OUTPUT = ".output"
UNNAMED_PART = ".output.part"

TIMES = 3
"""How often a folder is emptied that a late run still writes into."""


class LocalFiles(Files):
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def input(self, job_id: str) -> Path:
        return self.directory / f"{job_id}{INPUT}"

    def output(self, job_id: str) -> Path:
        """The folder of what a job makes."""
        return self.directory / f"{job_id}{OUTPUT}"

    def unnamed_part(self, job_id: str) -> Path:
        return self.directory / f"{job_id}{UNNAMED_PART}"

    def create_input(self, job_id: str) -> NewInput:
        return _NewInput(self.input(job_id))

    def open_input(self, job_id: str, *, ahead: int = READ_AHEAD_BYTES, stopped: StopSign | None = None) -> BinaryIO:
        # Its readers read large pieces: a buffer between would be one copy more.
        return cast("BinaryIO", self.input(job_id).open("rb", buffering=0))

    def uploaded(self, job_id: str) -> Path:
        return self.input(job_id)

    def open_output(
        self, job_id: str, attempt: int, mark: Mapping[str, Any] | None, *, stopped: StopSign | None = None
    ) -> LocalOutput:
        return LocalOutput(self.output(job_id), self.unnamed_part(job_id), attempt, mark)

    def tidy_output(self, job_id: str, attempt: int) -> None:
        self.unnamed_part(job_id).unlink(missing_ok=True)
        _empty(self.output(job_id), keep=result_name(attempt))

    def result(self, job_id: str, attempt: int) -> Result | None:
        for path in (self.output(job_id) / result_name(attempt), self.output(job_id)):
            if path.is_file():
                stat = path.stat()
                return Result(path.name, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC), path)
        return None

    def open_result(self, result: Result) -> BinaryIO:
        assert result.path is not None
        return result.path.open("rb")

    def remove_input(self, job_id: str) -> None:
        self.input(job_id).unlink(missing_ok=True)

    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        self.unnamed_part(job_id).unlink(missing_ok=True)
        _remove(self.output(job_id))

    def any_of(self, job_id: str) -> bool:
        return any(path(job_id).exists() for path in (self.input, self.output, self.unnamed_part))

    def remove_strays(self, known: Collection[str], *, older_than: timedelta | None = None) -> list[str]:
        latest = None if older_than is None else now() - older_than
        removed = []
        for path in self.directory.iterdir():
            job_id = path.name.removesuffix(".part").removesuffix(INPUT).removesuffix(OUTPUT)
            if job_id != path.name and job_id not in known and (latest is None or _changed(path) < latest):
                _remove(path)
                removed.append(path.name)
        return removed


class _NewInput:
    """Writes to its place, unbuffered: what arrives comes in large pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb", buffering=0)
        self.write = self._file.write
        self.tell = self._file.tell

    def commit(self) -> None:
        os.fsync(self._file.fileno())
        flush_directory(self._path.parent)
        self._file.close()

    def abort(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)


def _changed(path: Path) -> datetime:
    """When a file, or anything in a folder, was last changed."""
    moments = [0.0]
    # Somebody else may be removing it.
    with suppress(FileNotFoundError):
        moments.append(path.stat().st_mtime)
        if path.is_dir():
            moments += [inner.stat().st_mtime for inner in path.iterdir()]
    return datetime.fromtimestamp(max(moments), UTC)


def _empty(folder: Path, keep: str | None = None) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if path.name != keep:
                path.unlink(missing_ok=True)


def _remove(path: Path) -> None:
    """Remove a file, or a folder of files."""
    for _ in range(TIMES):
        try:
            path.unlink(missing_ok=True)
        except (IsADirectoryError, PermissionError):
            # What unlink says of a folder depends on the system.
            _empty(path)
            with suppress(FileNotFoundError, OSError):
                path.rmdir()
        if not path.exists():
            return
    shutil.rmtree(path)
