"""Named bytes in a file system of fsspec, and what to do when it does not answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    before_sleep_log,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from jobsvc.files.contract import StopSign
from jobsvc.store.errors import FilesDown

log = logging.getLogger(__name__)

PIECE_BYTES = 8 * 1024 * 1024
"""How much of an object is sent at a time, and held in memory. S3 takes 10,000 pieces: objects of 80 GB."""

TRIES = 6
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 8.0
"""A run waits about a quarter of a minute in all, beside what the client of the store waits by itself."""

T = TypeVar("T")


@dataclass(frozen=True)
class Info:
    size: int
    """In bytes."""
    modified: datetime
    tag: str = ""
    """By which the store tells versions of the object apart, if it does."""


class RemoteStore:
    """What is under `root` in `filesystem`. Safe to share among threads.

    `errors` are the exceptions by which it says that it does not answer or won't.
    Names are relative to the root. Raises FilesDown.
    """

    def __init__(
        self,
        filesystem: Any,
        root: str,
        errors: tuple[type[Exception], ...] = (OSError,),
        *,
        stopped: StopSign | None = None,
    ) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._errors = errors
        self._stopped = stopped

    def patient(self, stopped: StopSign | None) -> RemoteStore:
        """The same store for a run, which tries again until it is `stopped` or has waited for long enough."""
        return RemoteStore(self._filesystem, self._root, self._errors, stopped=stopped)

    def ask(self, call: Callable[[], T]) -> T:
        """The result of `call`, which asks the store. Raises FileNotFoundError where it does."""

        def once() -> T:
            try:
                return call()
            except FileNotFoundError:
                raise
            except self._errors as error:
                raise FilesDown(_text(error)) from error

        stopped = self._stopped
        if stopped is None:
            return once()

        def enough(state: RetryCallState) -> bool:
            return stopped.is_set() or stop_after_attempt(TRIES)(state)

        def pause(seconds: float) -> None:
            stopped.wait(seconds)

        again = Retrying(
            retry=retry_if_exception_type(FilesDown),
            wait=wait_exponential(multiplier=FIRST_DELAY_SECONDS, max=MAX_DELAY_SECONDS),
            stop=enough,
            sleep=pause,
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        return again(once)

    @property
    def place(self) -> str:
        """Where it is, for people to read."""
        protocol = self._filesystem.protocol
        return f"{protocol if isinstance(protocol, str) else protocol[0]}://{self._root}"

    def exists(self, name: str) -> bool:
        return self.info(name) is not None

    def info(self, name: str) -> Info | None:
        try:
            return _info(self.ask(lambda: self._filesystem.info(self._path(name))))
        except FileNotFoundError:
            return None

    def open(self, name: str, ahead: int) -> Any:
        """For reading and seeking, by `ask`. Raises FileNotFoundError."""
        return self.ask(lambda: self._filesystem.open(self._path(name), "rb", block_size=ahead, cache_type="readahead"))

    def read(self, name: str) -> bytes | None:
        """All of a small object."""
        try:
            found: bytes = self.ask(lambda: self._filesystem.cat_file(self._path(name)))
        except FileNotFoundError:
            return None
        return found

    def read_ranges(self, wanted: list[tuple[str, int, int]]) -> list[bytes]:
        """The bytes of each name from the first to the second offset, fetched at once. Raises FileNotFoundError."""
        names = [self._path(name) for name, _, _ in wanted]
        starts, ends = [start for _, start, _ in wanted], [end for _, _, end in wanted]
        found: list[bytes] = self.ask(lambda: self._filesystem.cat_ranges(names, starts, ends, on_error="raise"))
        return found

    def put(self, name: str, data: bytes) -> None:
        """Store an object, whole."""
        self._send(lambda: self._filesystem.pipe_file(self._path(name), data))

    def write(self, name: str) -> Writing:
        """Begin an object that is sent piece by piece; it is there once it is committed."""
        opened = self._send(lambda: self._filesystem.open(self._path(name), "wb", block_size=PIECE_BYTES))
        return Writing(self, name, opened)

    def find(self, folder: str) -> dict[str, Info]:
        """Everything in a folder, by name."""
        try:
            found: Mapping[str, Mapping[str, Any]] = self.ask(
                lambda: self._filesystem.find(self._path(folder), detail=True)
            )
        except FileNotFoundError:
            return {}
        start = len(self._root) + 1
        return {path[start:]: _info(details) for path, details in found.items()}

    def folders(self) -> list[str]:
        """The names of all folders at the root."""
        try:
            found: list[Mapping[str, Any]] = self.ask(lambda: self._filesystem.ls(self._root, detail=True))
        except FileNotFoundError:
            return []
        start = len(self._root) + 1
        return [entry["name"].rstrip("/")[start:] for entry in found if entry["type"] == "directory"]

    def move(self, name: str, target: str) -> None:
        """Copy an object within the store, and remove the first one. Raises FileNotFoundError."""
        self.ask(lambda: self._filesystem.cp_file(self._path(name), self._path(target)))
        self.remove([name])

    def remove(self, names: Collection[str]) -> None:
        """Remove objects; those that are not there count as removed."""
        for name in names:
            try:
                self.ask(lambda name=name: self._filesystem.rm_file(self._path(name)))  # type: ignore[misc]
            except FileNotFoundError:
                continue

    def _send(self, call: Callable[[], T]) -> T:
        """The same for a `call` that stores something: if it finds nothing there, the bucket is missing."""

        def once() -> T:
            try:
                return call()
            except FileNotFoundError as error:
                raise FilesDown(_text(error)) from error

        return self.ask(once)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


class Writing:
    """An object that is being sent, in a file of fsspec. Implements `store.files.NewInput`.

    One of `commit` and `abort` must end it: fsspec's files complete the object when
    they are closed, also by the garbage collector.
    """

    def __init__(self, store: RemoteStore, name: str, file: Any) -> None:
        self._store = store
        self._name = name
        self._file = file
        self._committed = False

    def write(self, data: bytes | memoryview, /) -> int:
        # Not tried again: part of it may be on its way.
        written: int = _once(self._store, lambda: self._file.write(data))
        return written

    def tell(self) -> int:
        found: int = self._file.tell()
        return found

    def commit(self) -> None:
        _once(self._store, self._file.close)
        self._committed = True

    def abort(self) -> None:
        if self._committed:
            return
        file = self._file
        try:
            _once(self._store, file.discard)
        except (FilesDown, AttributeError) as error:
            log.warning("%s could not be aborted; the store has to forget its pieces: %s", self._name, error)
        finally:
            # Otherwise the garbage collector would complete it.
            file.closed = True


def _once(store: RemoteStore, call: Callable[[], T]) -> T:
    try:
        return store.patient(None).ask(call)
    except FileNotFoundError as error:
        raise FilesDown(_text(error)) from error


def _info(details: Mapping[str, Any]) -> Info:
    modified = details.get("LastModified") or details.get("modified") or details.get("created")
    if not isinstance(modified, datetime):
        modified = datetime.fromtimestamp(modified or 0, UTC)
    aware = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
    return Info(int(details["size"]), aware, str(details.get("ETag") or details.get("etag") or ""))


def _text(error: Exception) -> str:
    """What may be shown of an error of the store's client; a URL in it may have a password."""
    text = re.sub(r"//[^/@\s]*@", "//…@", f"{type(error).__name__}: {error}")
    return f"the store of the files does not answer as it should ({text})"
