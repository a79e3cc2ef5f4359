"""Bringing a file into the form that runs read, while it arrives and in bounded memory.

gzip is unpacked, and UTF-16 and UTF-32 become UTF-8. Everything else that is CSV
stays as it is, byte for byte.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from jobsvc.web.uploads.gunzip import Gunzip
from jobsvc.web.uploads.recognition import HEAD_BYTES, Gzip, NotReadable, Unicode, recognised


class Arrival:
    """Takes what arrives, and gives back what is to be stored.

    Raises NotReadable. Memory is bounded, but a small file can unpack to a huge one:
    the caller, who takes the pieces, decides how much is too much.
    """

    def __init__(self, *, packed: bool = False) -> None:
        self._packed = packed
        """Whether it is inside a gzip file."""
        self._head = b""
        self._stage: _Unpacking | _Transcoding | None = None
        self._recognised = False

    @property
    def was_packed(self) -> bool:
        """Whether it is gzip."""
        return isinstance(self._stage, _Unpacking)

    @property
    def codec(self) -> str | None:
        """The encoding that it had, if it was brought into UTF-8."""
        if isinstance(self._stage, _Unpacking):
            return self._stage.inner.codec
        return self._stage.codec if isinstance(self._stage, _Transcoding) else None

    def feed(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        if not self._recognised:
            self._head += data
            if len(self._head) < HEAD_BYTES:
                return
            data = self._recognise(whole=False)
        yield from self._pass_on(data)

    def finish(self) -> Iterator[bytes | memoryview]:
        """The file has ended."""
        if not self._recognised:
            yield from self._pass_on(self._recognise(whole=True))
        if self._stage is not None:
            yield from self._stage.finish()

    def cut_off(self) -> Iterator[bytes | memoryview]:
        """No more of the file comes, though it goes on: for a look at its beginning."""
        if not self._recognised:
            yield from self._pass_on(self._recognise(whole=False))
        if isinstance(self._stage, _Unpacking):
            yield from self._stage.inner.cut_off()

    def _recognise(self, *, whole: bool) -> bytes:
        """Decide how to take the file; returns what is to be stored of it so far."""
        head, self._head, self._recognised = self._head, b"", True
        match recognised(head[:HEAD_BYTES], whole):
            case Gzip():
                if self._packed:
                    raise NotReadable("the file is gzip within gzip; unpack it once, and upload that")
                self._stage = _Unpacking()
            case Unicode(codec=codec, mark=mark):
                self._stage = _Transcoding(codec)
                return head[mark:]
        return head

    def _pass_on(self, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
        if self._stage is None:
            if data:
                yield data
        else:
            yield from self._stage.feed(bytes(data))


class _Unpacking:
    """A gzip file: what is in it is a file of its own."""

    def __init__(self) -> None:
        self._unpack = Gunzip()
        self.inner = Arrival(packed=True)

    def feed(self, data: bytes) -> Iterator[bytes | memoryview]:
        try:
            for piece in self._unpack.feed(data):
                yield from self.inner.feed(piece)
        except ValueError as error:
            raise NotReadable(str(error)) from error

    def finish(self) -> Iterator[bytes | memoryview]:
        try:
            self._unpack.finish()
        except ValueError as error:
            raise NotReadable(str(error)) from error
        yield from self.inner.finish()


_NO_TEXT = "jobsvc.no_text"
"""Decodes what is no text to a lone surrogate, which becomes bytes that are no UTF-8: its row is refused for it."""


def _to_surrogate(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(_NO_TEXT, _to_surrogate)


class _Transcoding:
    """UTF-16 or UTF-32 that becomes UTF-8."""

    def __init__(self, codec: str) -> None:
        self.codec = codec
        self._decoder = codecs.getincrementaldecoder(codec)(_NO_TEXT)

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._encoded(self._decoder.decode(data))

    def finish(self) -> Iterator[bytes]:
        return self._encoded(self._decoder.decode(b"", final=True))

    @staticmethod
    def _encoded(text: str) -> Iterator[bytes]:
        if text:
            yield text.encode("utf-8", "surrogatepass")
