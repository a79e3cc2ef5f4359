"""A store behind fsspec that is in memory, and goes away when a test wants it to.

It does as S3 does: an object is there once it was sent whole, nothing of it before;
what is read is fetched range by range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock, Semaphore
from typing import Any, ClassVar

import fsspec  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem  # type: ignore[import-untyped]

SCHEME = "fake"


class FakeRemote(AbstractFileSystem):  # type: ignore[misc]
    """`_lock` guards `objects`, `unfinished` and `calls`. All instances share them, as all machines share a store."""

    protocol = SCHEME
    cachable = False

    objects: ClassVar[dict[str, tuple[bytes, datetime]]] = {}
    unfinished: ClassVar[set[str]] = set()
    """Names of objects that are being sent in pieces."""
    calls: ClassVar[list[tuple[str, str]]] = []
    """What was asked, and of which name."""
    fault: ClassVar[Callable[[str, str], None] | None] = None
    """Called with each of `calls`; may raise what the store answers with."""
    age: ClassVar[timedelta] = timedelta(0)
    """How old what is stored now seems to be."""
    _lock = Lock()

    @classmethod
    def forget_all(cls) -> None:
        with cls._lock:
            cls.objects.clear()
            cls.unfinished.clear()
            cls.calls.clear()
        cls.fault, cls.age = None, timedelta(0)

    @classmethod
    def asked(cls, what: str, name: str) -> None:
        with cls._lock:
            cls.calls.append((what, name))
        if cls.fault is not None:
            cls.fault(what, name)

    @classmethod
    def keep(cls, name: str, data: bytes) -> None:
        with cls._lock:
            cls.objects[name] = (data, datetime.now(UTC) - cls.age)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self.asked("info", path)
        with self._lock:
            if path not in self.objects:
                raise FileNotFoundError(path)
            data, modified = self.objects[path]
        return {"name": path, "size": len(data), "type": "file", "LastModified": modified}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        self.asked("ls", path)
        with self._lock:
            below = [name for name in self.objects if name.startswith(f"{path}/")]
        if not below:
            raise FileNotFoundError(path)
        folders = {name[: name.index("/", len(path) + 1)] for name in below if "/" in name[len(path) + 1 :]}
        files = [self.info(name) for name in below if "/" not in name[len(path) + 1 :]]
        found = [*files, *({"name": name, "size": 0, "type": "directory"} for name in sorted(folders))]
        return found if detail else [entry["name"] for entry in found]

    def find(self, path: str, detail: bool = False, **_: Any) -> Any:
        self.asked("find", path)
        with self._lock:
            names = sorted(name for name in self.objects if name.startswith(f"{path}/"))
        return {name: self.info(name) for name in names} if detail else names

    def pipe_file(self, path: str, value: bytes, **_: Any) -> None:
        self.asked("put", path)
        self.keep(path, bytes(value))

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        self.asked("get", path)
        with self._lock:
            if path not in self.objects:
                raise FileNotFoundError(path)
            return self.objects[path][0][start:end]

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        self.asked("copy", path1)
        with self._lock:
            if path1 not in self.objects:
                raise FileNotFoundError(path1)
            data = self.objects[path1][0]
        self.keep(path2, data)

    def rm_file(self, path: str) -> None:
        self.asked("delete", path)
        with self._lock:
            self.objects.pop(path, None)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **more: Any) -> _FakeFile:
        return _FakeFile(self, path, mode, block_size or "default", cache_type=more.get("cache_type", "readahead"))


class _FakeFile(AbstractBufferedFile):  # type: ignore[misc]
    def _initiate_upload(self) -> None:
        self.fs.asked("begin", self.path)
        with self.fs._lock:
            self.fs.unfinished.add(self.path)
        self.sent: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> None:
        self.fs.asked("piece", self.path)
        self.sent.append(self.buffer.getvalue())
        if final:
            self.fs.asked("complete", self.path)
            self.fs.keep(self.path, b"".join(self.sent))
            self.discard()

    def discard(self) -> None:
        with self.fs._lock:
            self.fs.unfinished.discard(self.path)


fsspec.register_implementation(SCHEME, FakeRemote, clobber=True)


@contextmanager
def down(*whats: str, error: type[Exception] = OSError) -> Iterator[Semaphore]:
    """For so long, the store does not answer when it is asked one of `whats` (none given: anything).

    The semaphore is released whenever it is asked.
    """
    asked = Semaphore(0)

    def fault(what: str, name: str) -> None:
        if not whats or what in whats:
            asked.release()
            raise error("it does not answer")

    FakeRemote.fault = staticmethod(fault)  # type: ignore[assignment]
    try:
        yield asked
    finally:
        FakeRemote.fault = None
