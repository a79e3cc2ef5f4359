"""Receiving the beginning of a file, in memory: nothing of it is kept."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from jobsvc.jobs.errors import InvalidParameter
from jobsvc.service.previews import Beginning
from jobsvc.web.uploads.arrival import Arrival
from jobsvc.web.uploads.multipart import MAX_FORM_BYTES
from jobsvc.web.uploads.receive import UploadRefused, read_request
from jobsvc.web.uploads.recognition import GZIP_MAGIC, NotReadable
from jobsvc.web.uploads.target import Target

MOST_BYTES = 1024 * 1024
"""How much is taken, and how much is looked at once it is unpacked."""

PIECE_BYTES = 16 * 1024

KIND = "kind"
SIZE = "size"

OWN = (KIND, SIZE)
"""What a request says beside the options of the job. In the query they are never options, so that a kind may have
parameters of these names: in a form."""

HOW = (
    f"send the first {MOST_BYTES} bytes of the file, and its whole size in bytes as `{SIZE}`: "
    f"head -c {MOST_BYTES} FILE | curl --data-binary @- 'URL/previews?{SIZE}=SIZE'"
)


def receive_beginning() -> tuple[Beginning, str, dict[str, str]]:
    """The beginning of a file, the kind that was named, if any, and the options of the job.

    Raises UploadRefused, InvalidParameter, RequestEntityTooLarge.
    """
    if (request.content_length or 0) > MOST_BYTES + MAX_FORM_BYTES:
        raise _too_large()
    target = _Memory()
    in_query = {name: request.args[name] for name in OWN if name in request.args}
    options = read_request(target, MOST_BYTES + MAX_FORM_BYTES, apart=OWN)
    own = {name: in_query[name] if name in in_query else options.pop(name, "") for name in OWN}
    data = bytes(target.data)
    if not data:
        raise UploadRefused("the file is empty")
    size = _size(own[SIZE], len(data))
    # Of as much as is taken at most, nobody knows whether it is all.
    all_sent = size == len(data) or (size is None and len(data) < MOST_BYTES)
    try:
        unpacked = _Unpacked(data, all_sent)
    except NotReadable as error:
        raise UploadRefused(str(error)) from error
    if unpacked.whole and not unpacked.data:
        raise UploadRefused("the file is empty")
    target.settle_encoding(options, unpacked.codec)
    size = len(data) if all_sent else size
    beginning = Beginning(
        data=unpacked.data,
        whole=unpacked.whole,
        sent=len(data),
        size=size,
        stored_size=None if size is None else round(len(unpacked.data) * size / unpacked.used),
        is_gzip=unpacked.is_gzip,
        codec=unpacked.codec,
        warnings=target.warnings,
    )
    return beginning, own[KIND], options


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"a preview takes at most {MOST_BYTES} bytes of a file; {HOW}")


def _size(text: str, sent: int) -> int | None:
    if text == "":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidParameter(SIZE, f"{text[:40]!r} must be the size of the whole file, a number of bytes")
    if int(text) < sent:
        raise InvalidParameter(SIZE, f"it is {text}, but {sent} bytes of the file were sent")
    return int(text)


class _Memory(Target):
    """Keeps what comes, up to MOST_BYTES."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        if len(self.data) + len(data) > MOST_BYTES:
            raise _too_large()
        self.data += data

    def finish(self) -> None:
        pass

    @property
    def was_packed(self) -> bool:
        return self.data.startswith(GZIP_MAGIC)


class _Unpacked:
    """The beginning as it would be stored, MOST_BYTES of it at most. Raises NotReadable."""

    def __init__(self, sent: bytes, all_sent: bool) -> None:
        arrival = Arrival()
        found = bytearray()
        self.used = 0
        """How many bytes that were sent are in it."""
        while self.used < len(sent) and len(found) <= MOST_BYTES:
            piece = sent[self.used : self.used + PIECE_BYTES]
            self.used += len(piece)
            for unpacked in arrival.feed(piece):
                found += unpacked
                if len(found) > MOST_BYTES:
                    # A few bytes may unpack to as many as one likes.
                    break
        self.whole = all_sent and self.used == len(sent) and len(found) <= MOST_BYTES
        for unpacked in arrival.finish() if self.whole else arrival.cut_off():
            found += unpacked
            if len(found) > MOST_BYTES:
                self.whole = False
                break
        self.data = bytes(found[:MOST_BYTES])
        self.is_gzip = arrival.was_packed
        self.codec = arrival.codec
