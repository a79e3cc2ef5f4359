"""An output in a folder: a part for each stretch, brought to the disk before each checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from jobsvc.files.no_room import is_no_room, told_of_no_room
from jobsvc.files.output_parts import (
    GONE,
    SHORTER,
    UNNAMED_ATTEMPT,
    Stretch,
    continued,
    joining_name,
    marked,
    result_name,
    spans,
)
from jobsvc.store.durable import flush_directory
from jobsvc.store.errors import OutputLost

COPY_BYTES = 1024 * 1024


class LocalOutput:
    """Implements `store.files.Output` in `folder`; `unnamed` is the part of a run that gave it no name."""

    def __init__(self, folder: Path, unnamed: Path, attempt: int, mark: Mapping[str, Any] | None) -> None:
        self._folder = folder
        self._unnamed = unnamed
        self._attempt = attempt
        self._stretches = continued(mark, attempt)
        *before, own = self._stretches
        if folder.is_file():
            # It was published under the old name, but its job was not yet recorded as succeeded.
            folder.replace(unnamed)
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            flush_directory(folder.parent)
        for stretch, length in spans(before, own.start) if before else ():
            self._source(stretch, length).close()
        self._start = own.start
        self._path = folder / own.part
        # Nobody else ever writes a part of this name: what it holds is of this very run, and was not counted.
        self._file = self._path.open("wb")
        flush_directory(folder)
        self._dirty = True

    def write(self, data: bytes) -> int:
        self._dirty = True
        with told_of_no_room():
            return self._file.write(data)

    def tell(self) -> int:
        return self._start + self._file.tell()

    def mark(self, offset: int) -> dict[str, Any]:
        return marked(self._stretches, offset)

    def flush(self) -> None:
        with told_of_no_room():
            self._file.flush()
            os.fsync(self._file.fileno())
        self._dirty = False

    def finish(self) -> None:
        if self._dirty:
            self.flush()
        result = self._folder / result_name(self._attempt)
        with told_of_no_room():
            if len(self._stretches) == 1:
                # The part is all there is. A newer attempt that goes on after it finds it under its new name.
                self._path.replace(result)
            else:
                self._join().replace(result)
            flush_directory(self._folder)

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            # It is closed all the same, and no checkpoint counts what was still to be written.
            if not is_no_room(error):
                raise

    def _join(self) -> Path:
        """Puts what counts of all stretches into one file. The parts stay: as long
        as the job has not succeeded with this attempt, another may need them."""
        path = self._folder / joining_name(self._attempt)
        with path.open("wb", buffering=0) as joined:
            for stretch, length in spans(self._stretches, self.tell()):
                with self._source(stretch, length) as source:
                    _copy(source, joined, length)
            os.fsync(joined.fileno())
        return path

    def _source(self, stretch: Stretch, length: int) -> BinaryIO:
        """The file that begins with a stretch's `length` bytes. Raises OutputLost."""
        paths = [self._unnamed if stretch.attempt == UNNAMED_ATTEMPT else self._folder / stretch.part]
        if stretch.start == 0:
            # A single part is renamed when it is finished. In this order we can't miss it in between.
            paths.append(self._folder / result_name(stretch.attempt))
        for path in paths:
            try:
                file = path.open("rb", buffering=0)
            except FileNotFoundError:
                continue
            if os.fstat(file.fileno()).st_size < length:
                file.close()
                raise OutputLost(SHORTER)
            return file
        raise OutputLost(GONE)


def _copy(source: BinaryIO, target: BinaryIO, length: int) -> None:
    while length:
        data = memoryview(source.read(min(length, COPY_BYTES)))
        if not data:
            raise OutputLost(SHORTER)
        length -= len(data)
        while data:
            data = data[target.write(data) :]
