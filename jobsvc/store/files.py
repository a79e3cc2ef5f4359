"""Uploaded and produced files: `<data directory>/files/<job id>.<what>`.

Names come from job ids alone, never from what a client called its file.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

INPUT = ".input"
OUTPUT = ".output"
PARTIAL_OUTPUT = ".output.part"


class Files:
    """The files of all jobs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def input(self, job_id: str) -> Path:
        return self.directory / f"{job_id}{INPUT}"

    def output(self, job_id: str) -> Path:
        return self.directory / f"{job_id}{OUTPUT}"

    def partial_output(self, job_id: str) -> Path:
        return self.directory / f"{job_id}{PARTIAL_OUTPUT}"

    def create_input(self, job_id: str) -> BinaryIO:
        """Open a new job's input for writing, unbuffered. Raises FileExistsError if there is one."""
        return self.input(job_id).open("xb", buffering=0)

    def to_disk(self, file: BinaryIO) -> None:
        """Bring a file that was written here, and its name, to the disk."""
        os.fsync(file.fileno())
        flush_directory(self.directory)

    def remove(self, job_id: str) -> None:
        """Remove whatever there is of a job's files."""
        self.input(job_id).unlink(missing_ok=True)
        self.remove_output(job_id)

    def any_of(self, job_id: str) -> bool:
        """Whether there is any of a job's files."""
        return any(path(job_id).exists() for path in (self.input, self.output, self.partial_output))

    def remove_output(self, job_id: str) -> None:
        """Remove what a job has produced; first the unfinished file, so that nothing is renamed into place after."""
        self.partial_output(job_id).unlink(missing_ok=True)
        self.output(job_id).unlink(missing_ok=True)

    def remove_strays(self, known: Collection[str]) -> list[str]:
        """Remove the files of jobs that are not `known`: the process died before it had finished
        receiving or removing them.

        To be called only while nobody uploads. Returns the names that were removed.
        """
        removed = []
        for path in self.directory.iterdir():
            job_id = path.name.removesuffix(".part").removesuffix(INPUT).removesuffix(OUTPUT)
            if job_id != path.name and job_id not in known:
                path.unlink()
                removed.append(path.name)
        return removed


def flush_directory(directory: Path) -> None:
    """Bring a directory's entries to the disk, so that new and renamed files survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
