"""Receiving an uploaded file: the form parser writes it straight into its final place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from flask import request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import File

from jobsvc.web.services import services

FILE_FIELD = "file"

READ_BYTES = 256 * 1024
"""How much of a request body is parsed at a time; the parser's own limit is its max_form_memory_size."""

MAX_FORM_BYTES = 500_000
"""How large the form fields beside the file may be."""

MAX_PARTS = 100

SILENT_SECONDS = 60.0
"""An upload from which nothing has arrived for so long is given up."""


class UploadRefused(BadRequest):
    """There is no file in the request, it is empty, or it did not arrive whole."""


class Upload:
    """A file that has arrived, and the form fields that came with it."""

    def __init__(self, file: BinaryIO, filename: str, form: MultiDict[str, str]) -> None:
        self.filename = filename
        """What the client called the file; for people to read, never a path."""
        self.form = form
        self.size = file.tell()
        self.kept = False

    def keep(self) -> None:
        """The file belongs to a job now: it stays."""
        self.kept = True


@contextmanager
def receive(job_id: str) -> Iterator[Upload]:
    """Receive the request's file as the input of the job `job_id` to be.

    Unless the block calls `keep`, nothing of it is left behind. Raises
    UploadRefused, RequestEntityTooLarge.
    """
    files = services().files
    target = _Target(job_id)
    kept = False
    try:
        form = _parse(target)
        if target.file is None or target.file.tell() == 0:
            raise UploadRefused("there is no file, or an empty one, in the form field `file`")
        upload = Upload(target.file, target.filename, form)
        files.to_disk(target.file)
        yield upload
        kept = upload.kept
    finally:
        if target.file is not None:
            target.file.close()
            if not kept:
                files.input(job_id).unlink(missing_ok=True)


def _parse(target: _Target) -> MultiDict[str, str]:
    most = services().settings.max_upload_bytes
    request.max_content_length = most + MAX_FORM_BYTES
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise UploadRefused("the request is not multipart/form-data")
    _limit_silence()
    parser = _Parser(target, most)
    try:
        form, _files = parser.parse(request.stream, boundary.encode("ascii"), request.content_length)
    except (ValueError, ParseException, ConnectionError, TimeoutError, ClientDisconnected) as error:
        raise UploadRefused(f"the upload is not well-formed, or broke off: {error}") from error
    return form


def _limit_silence() -> None:
    """Give up waiting for a client that has gone silent; gunicorn's threads would wait for ever."""
    socket = request.environ.get("gunicorn.socket")
    if socket is not None:
        socket.settimeout(SILENT_SECONDS)


class _Target:
    """Where the file part goes, once it comes."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self.file: BinaryIO | None = None
        self.filename = ""

    def open(self, filename: str) -> BinaryIO:
        self.filename = filename
        self.file = services().files.create_input(self._job_id)
        return self.file


class _Parser(MultiPartParser):
    """Writes the first file in the field `file` to the target, and lets all other files go."""

    def __init__(self, target: _Target, most: int) -> None:
        super().__init__(
            max_form_memory_size=MAX_FORM_BYTES,
            max_form_parts=MAX_PARTS,
            buffer_size=READ_BYTES,
        )
        self._target = target
        self._most = most

    def start_file_streaming(self, event: File, total_content_length: int | None) -> IO[bytes]:
        if event.name != FILE_FIELD or self._target.file is not None:
            return cast("IO[bytes]", _Nowhere())
        return cast("IO[bytes]", _Bounded(self._target.open(event.filename or ""), self._most))


class _Bounded:
    """What the parser writes a file through: not more than `most` bytes of it."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most

    def write(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            raise RequestEntityTooLarge
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[self._file.write(remaining) :]

    def seek(self, offset: int) -> None:
        """The parser rewinds what it has read; this file stays where it ends."""


class _Nowhere:
    def write(self, data: bytes) -> None: ...
    def seek(self, offset: int) -> None: ...
