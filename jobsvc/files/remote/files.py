"""The files of all jobs in a store that is reached over the network, by fsspec:

    <root>/<job id>/input
    <root>/<job id>/output/<start>-<attempt>.part    while the output is unfinished
    <root>/<job id>/output/result.<attempt>

Beside them are `jobsvc-identity`, which says whose files these are, and the folder `strays`.
What is stored appears whole, once it is: nobody sees half an object.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Literal, cast

from jobsvc.files.contract import IDENTITY, READ_AHEAD_BYTES, Files, NewInput, Result, StopSign
from jobsvc.files.job_ids import is_job_id
from jobsvc.files.output_parts import is_made, result_name
from jobsvc.files.remote.output import RemoteOutput
from jobsvc.files.remote.store import RemoteStore
from jobsvc.files.remote.strays import INPUT, OUTPUT, RemoteStrays
from jobsvc.files.strays import Tidied

HEAD_BYTES = 128 * 1024
"""How much to ask for at a time, to look at the beginning of a file."""


class RemoteFiles(Files):
    def __init__(self, store: RemoteStore) -> None:
        self._store = store

    def create_input(self, job_id: str) -> NewInput:
        name = _input(job_id)
        if self._store.exists(name):
            raise FileExistsError(name)
        return self._store.write(name)

    def open_input(self, job_id: str, *, ahead: int = READ_AHEAD_BYTES, stopped: StopSign | None = None) -> BinaryIO:
        return self._open(_input(job_id), ahead, stopped)

    def mark_of_input(self, job_id: str) -> str | None:
        found = self._store.info(_input(job_id))
        return None if found is None else f"{found.size}-{found.tag or found.modified.isoformat()}"

    def uploaded(self, job_id: str) -> _Uploaded:
        return _Uploaded(self, job_id)

    def open_output(
        self, job_id: str, attempt: int, mark: Mapping[str, Any] | None, *, stopped: StopSign | None = None
    ) -> RemoteOutput:
        return RemoteOutput(self._store.patient(stopped), f"{job_id}/{OUTPUT}", attempt, mark)

    def tidy_output(self, job_id: str, attempt: int) -> None:
        found = self._made(self._store, job_id)
        self._store.remove([name for name in found if name != _result(job_id, attempt)])

    def result(self, job_id: str, attempt: int) -> Result | None:
        name = _result(job_id, attempt)
        found = self._store.info(name)
        return None if found is None else Result(name, found.size, found.modified, None)

    def open_result(self, result: Result) -> BinaryIO:
        return self._open(result.name, READ_AHEAD_BYTES, None)

    def remove_input(self, job_id: str) -> None:
        self._store.remove([_input(job_id)])

    def remove_output(self, job_id: str, *, stopped: StopSign | None = None) -> None:
        store = self._store.patient(stopped)
        store.remove(self._made(store, job_id))

    def any_of(self, job_id: str) -> bool:
        return self._store.exists(_input(job_id)) or bool(self._made(self._store, job_id))

    @property
    def place(self) -> str:
        return self._store.place

    def identity(self) -> str | None:
        found = self._store.read(IDENTITY)
        return None if found is None else found.decode(errors="replace").strip()

    def identify(self, identity: str, *, instead: bool = False) -> None:
        if instead or not self._store.exists(IDENTITY):
            self._store.put(IDENTITY, f"{identity}\n".encode())

    def job_ids(self) -> set[str]:
        return {name for name in self._store.folders() if is_job_id(name)}

    def tidy_strays(
        self, known: Collection[str], forgotten: Collection[str], at: datetime, *, older_than: timedelta | None = None
    ) -> Tidied:
        return RemoteStrays(self._store).tidy(known, forgotten, at, older_than)

    def _made(self, store: RemoteStore, job_id: str) -> list[str]:
        """The names of what a job has made."""
        folder = f"{job_id}/{OUTPUT}"
        return [name for name in store.find(folder) if is_made(name.removeprefix(f"{folder}/"))]

    def _open(self, name: str, ahead: int, stopped: StopSign | None) -> BinaryIO:
        store = self._store.patient(stopped)
        return cast("BinaryIO", _Reading(store, store.open(name, ahead)))


def _input(job_id: str) -> str:
    return f"{job_id}/{INPUT}"


def _result(job_id: str, attempt: int) -> str:
    return f"{job_id}/{OUTPUT}/{result_name(attempt)}"


class _Reading(io.RawIOBase):
    """A stored file from wherever it is read, fetched some at a time."""

    def __init__(self, store: RemoteStore, file: Any) -> None:
        super().__init__()
        self._store = store
        self._file = file

    def read(self, size: int | None = -1, /) -> bytes:
        found: bytes = self._store.ask(lambda: self._file.read(-1 if size is None else size))
        return found

    def readinto(self, buffer: Any, /) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        found: int = self._file.seek(offset, whence)
        return found

    def tell(self) -> int:
        found: int = self._file.tell()
        return found

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Uploaded:
    """Implements `store.files.Readable`."""

    def __init__(self, files: RemoteFiles, job_id: str) -> None:
        self._files = files
        self._job_id = job_id

    @contextmanager
    def open(self, _: Literal["rb"], /) -> Iterator[BinaryIO]:
        with self._files.open_input(self._job_id, ahead=HEAD_BYTES) as file:
            yield file
