"""The files of all jobs in a folder, local or shared:

    <job id>.input
    <job id>.output/<start>-<attempt>.part    while the output is unfinished
    <job id>.output/result.<attempt>

Jobs that came to their end before outputs had folders have the file `<job id>.output`,
and those that were interrupted then `<job id>.output.part`. Beside them are `jobsvc-identity`,
which says whose files these are, and the folder `strays`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from jobsvc.files.contract import IDENTITY, READ_AHEAD_BYTES, Files, NewInput, Result, StopSign
from jobsvc.files.local.folder import INPUT, OUTPUT, UNNAMED_PART, empty, owner, remove
from jobsvc.files.local.output import LocalOutput
from jobsvc.files.local.strays import LocalStrays
from jobsvc.files.no_room import told_of_no_room
from jobsvc.files.output_parts import result_name
from jobsvc.files.strays import Tidied
from jobsvc.store.durable import flush_directory


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

    def mark_of_input(self, job_id: str) -> str | None:
        try:
            found = self.input(job_id).stat()
        except FileNotFoundError:
            return None
        return f"{found.st_size}-{found.st_mtime_ns}"

    def uploaded(self, job_id: str) -> Path:
        return self.input(job_id)

    def open_output(
        self, job_id: str, attempt: int, mark: Mapping[str, Any] | None, *, stopped: StopSign | None = None
    ) -> LocalOutput:
        with told_of_no_room():
            return LocalOutput(self.output(job_id), self.unnamed_part(job_id), attempt, mark)

    def tidy_output(self, job_id: str, attempt: int) -> None:
        self.unnamed_part(job_id).unlink(missing_ok=True)
        empty(self.output(job_id), keep=result_name(attempt))

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
        remove(self.output(job_id))

    def any_of(self, job_id: str) -> bool:
        return any(path(job_id).exists() for path in (self.input, self.output, self.unnamed_part))

    @property
    def place(self) -> str:
        return str(self.directory)

    def identity(self) -> str | None:
        try:
            return (self.directory / IDENTITY).read_text(errors="replace").strip()
        except FileNotFoundError:
            return None

    def identify(self, identity: str, *, instead: bool = False) -> None:
        path = self.directory / IDENTITY
        new = self.directory / f"{IDENTITY}.{secrets.token_hex(8)}"
        with new.open("x") as file:
            file.write(f"{identity}\n")
            file.flush()
            os.fsync(file.fileno())
        if instead or not _linked(new, path):
            new.replace(path)
        new.unlink(missing_ok=True)
        flush_directory(self.directory)

    def job_ids(self) -> set[str]:
        return {job_id for path in self.directory.iterdir() if (job_id := owner(path.name)) is not None}

    def tidy_strays(
        self, known: Collection[str], forgotten: Collection[str], at: datetime, *, older_than: timedelta | None = None
    ) -> Tidied:
        return LocalStrays(self.directory).tidy(known, forgotten, at, older_than)


def _linked(new: Path, path: Path) -> bool:
    """Give a file a second name, unless there is a file of that name; False where files can't have two names."""
    try:
        path.hardlink_to(new)
    except FileExistsError:
        return True
    except OSError:
        return path.exists()
    return True


class _NewInput:
    """Writes to its place, unbuffered: what arrives comes in large pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with told_of_no_room():
            self._file = path.open("xb", buffering=0)
        self.tell = self._file.tell

    def write(self, data: bytes | memoryview, /) -> int:
        with told_of_no_room():
            return self._file.write(data)

    def commit(self) -> None:
        with told_of_no_room():
            os.fsync(self._file.fileno())
            flush_directory(self._path.parent)
            self._file.close()

    def abort(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._path.unlink(missing_ok=True)
