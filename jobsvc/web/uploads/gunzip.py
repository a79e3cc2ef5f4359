"""Unpacking a gzip file while it arrives, in bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

PIECE_BYTES = 256 * 1024

_GZIP = 16 + zlib.MAX_WBITS


class Gunzip:
    """Unpacks the members of a gzip file one after the other.

    A small file can unpack to a huge one: it comes in pieces, and the caller decides
    how much is too much.
    """

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._begun = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next packed bytes unpack to. Raises ValueError if they are not gzip."""
        try:
            while data:
                if self._member.eof:
                    # Another member may follow; zero bytes and line ends are padding.
                    data = data.lstrip(b"\0\r\n") if not self._begun else data
                    if not data:
                        return
                    self._member = zlib.decompressobj(_GZIP)
                    self._begun = True
                piece = self._member.decompress(data, PIECE_BYTES)
                data = self._member.unconsumed_tail or self._member.unused_data
                if self._member.eof:
                    self._begun = False
                if piece:
                    yield piece
        except zlib.error as error:
            raise ValueError(f"the gzip file is damaged: {error}") from error

    def finish(self) -> None:
        """Raises ValueError if the file has ended within a member."""
        if not self._member.eof:
            raise ValueError("the gzip file ends too early")
