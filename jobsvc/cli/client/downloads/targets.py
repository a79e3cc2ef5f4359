"""Where a download goes: a stream, or a file that can be gone on with later."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from jobsvc.cli.client.exits import Ended, Exit


class Target(ABC):
    """So much of a file as has come: `position` bytes of the one that has the tag `etag`."""

    position = 0
    etag: str | None = None

    @abstractmethod
    def begin(self, etag: str | None) -> None:
        """A whole file comes, from its first byte on."""

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def finish(self) -> int:
        """All has come; returns how many bytes."""


class StreamTarget(Target):
    """Standard output, or a pipe: what was written can't be taken back."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def begin(self, etag: str | None) -> None:
        if self.position:
            raise Ended(
                Exit.UNREACHABLE,
                f"the download broke off after {self.position:,} bytes, and can only be had from its beginning: "
                "with -o FILE it is begun anew by itself",
            )
        self.etag = etag

    def write(self, data: bytes) -> None:
        with _writing_to("the output"):
            self._stream.write(data)
        self.position += len(data)

    def finish(self) -> int:
        with _writing_to("the output"):
            self._stream.flush()
        return self.position


class FileTarget(Target):
    """A file, written beside its place until it is whole.

    What there is of it stays in `FILE.part` when it breaks off for good, and beside it
    stands of what that is a part: where it came from, and its tag.
    """

    def __init__(self, file: Path, source: str) -> None:
        self._file, self._source = file, source
        self._part = file.with_name(f"{file.name}.part")
        self._note = file.with_name(f"{file.name}.part.json")
        self._stream: IO[bytes] | None = None
        self.etag = self._noted()
        if self.etag is not None:
            self.position = self._part.stat().st_size

    def _noted(self) -> str | None:
        """The tag of the part that is there, if it is one of the same file."""
        try:
            noted = json.loads(self._note.read_text())
            same = noted["source"] == self._source and self._part.is_file()
            return str(noted["etag"]) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, etag: str | None) -> None:
        with self._writing():
            self._close()
            self._note.unlink(missing_ok=True)
            self._stream = self._part.open("wb")
            if etag is not None:
                self._note.write_text(json.dumps({"source": self._source, "etag": etag}))
        self.position, self.etag = 0, etag

    def write(self, data: bytes) -> None:
        with self._writing():
            if self._stream is None:
                self._stream = self._part.open("ab")
            self._stream.write(data)
        self.position += len(data)

    def finish(self) -> int:
        with self._writing():
            if self._stream is not None:
                self._stream.flush()
                os.fsync(self._stream.fileno())
            self._close()
            self._part.replace(self._file)
            self._note.unlink(missing_ok=True)
        return self.position

    def _close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _writing(self) -> AbstractContextManager[None]:
        return _writing_to(str(self._file))


@contextmanager
def _writing_to(what: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        # The reader has had enough.
        raise
    except OSError as error:
        raise Ended(Exit.ERROR, f"{what} can't be written: {error.strerror or error}") from None
