"""What takes the file of a request, as it comes."""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod

from werkzeug.http import parse_options_header

from jobsvc.jobs.errors import InvalidParameter


class Target(ABC):
    """Takes one file. `write` and `finish` may raise NotReadable and RequestEntityTooLarge."""

    def __init__(self) -> None:
        self.is_open = False
        """Whether there is a file."""
        self.filename: str | None = None
        self.warnings: list[str] = []
        self._charset = ""

    def open(self, filename: str | None, content_type: str) -> None:
        self.is_open = True
        self.filename = filename
        self._charset = parse_options_header(content_type)[1].get("charset", "").strip()

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """`data` is the target's for the length of this call."""

    @abstractmethod
    def finish(self) -> None:
        """The file is whole."""

    @property
    @abstractmethod
    def was_packed(self) -> bool:
        """Whether it is gzip."""

    def settle_encoding(self, options: dict[str, str], codec: str | None) -> None:
        """What the file says of its encoding, by a mark or in its Content-Type, is used or refused by name.

        `codec` is the encoding that it had, if it was brought into UTF-8.
        """
        given = options.get("encoding", "")
        if codec is not None:
            if given:
                _lookup(given)
            self.warnings.append(f"the file is {codec.upper()}; it is kept as UTF-8")
            options["encoding"] = "utf-8"
        elif self._charset and not given:
            options["encoding"] = self._charset
        elif self._charset and _lookup(given) != _lookup(self._charset):
            raise InvalidParameter(
                "encoding", f"it is {given[:40]!r}, but the file's Content-Type says {self._charset[:40]!r}"
            )


def _lookup(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise InvalidParameter("encoding", f"{encoding[:40]!r} is not a text encoding that is known") from None
