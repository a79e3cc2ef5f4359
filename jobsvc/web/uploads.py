"""Receiving an uploaded file: the form parser writes it straight into its final place."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from flask import request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser
from werkzeug.sansio.multipart import File

from jobsvc.store.errors import DatabaseBusy, DatabaseDown, DiskFull, FilesDown, NoRoom
from jobsvc.store.files import Files, NewInput, Readable
from jobsvc.web.gunzip import GZIP_MAGIC, Gunzip
from jobsvc.web.services import services

log = logging.getLogger(__name__)

FILE_FIELD = "file"

READ_BYTES = 256 * 1024
"""How much of a request body is parsed at a time; the parser's own limit is its max_form_memory_size."""

MAX_FORM_BYTES = 500_000
"""How large the form fields beside the file may be."""

MAX_PARTS = 100


class UploadRefused(BadRequest):
    """There is no file in the request, it is empty, or it did not arrive whole."""


class Upload:
    """A file that has arrived, and the form fields that came with it."""

    def __init__(self, file: Readable, filename: str, form: MultiDict[str, str], digest: str | None) -> None:
        self.file = file
        self.filename = filename
        """What the client called the file; for people to read, never a path."""
        self.form = form
        self.digest = digest
        """The SHA-256 of what is in the file, if it was asked for."""
        self.kept = False

    def keep(self) -> None:
        """The file belongs to a job now: it stays."""
        self.kept = True


@contextmanager
def receive(job_id: str, *, digest: bool = False) -> Iterator[Upload]:
    """Receive the request's file as the input of the job `job_id` to be; a gzip file is unpacked as it comes.

    Unless the block calls `keep`, nothing of it is left behind. Raises
    UploadRefused, RequestEntityTooLarge, NoRoom.
    """
    files = services().files
    target = _Target(job_id, services().settings.max_upload_bytes, digest)
    committed = kept = False
    try:
        form = _parse(target)
        if target.file is None or target.file.tell() == 0:
            raise UploadRefused("there is no file, or an empty one, in the form field `file`")
        target.file.commit()
        committed = True
        upload = Upload(files.uploaded(job_id), target.filename, form, target.hexdigest())
        try:
            yield upload
        except (DatabaseBusy, DiskFull):
            raise
        except DatabaseDown:
            # Its job may have been stored all the same. If it was not, a later start moves the file aside.
            upload.keep()
            raise
        finally:
            kept = upload.kept
    finally:
        if committed and not kept:
            _remove(files, job_id)
        elif target.file is not None:
            target.file.abort()


def _remove(files: Files, job_id: str) -> None:
    try:
        files.remove_input(job_id)
    except FilesDown as error:
        # What there is to be said to the client is something else.
        log.warning("the upload for %s is left behind, as a stray: %s", job_id, error)


def _parse(target: _Target) -> MultiDict[str, str]:
    most = services().settings.max_upload_bytes
    request.max_content_length = most + MAX_FORM_BYTES
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary:
        raise UploadRefused("the request is not multipart/form-data")
    parser = _Parser(target)
    try:
        form, _files = parser.parse(request.stream, boundary.encode("ascii"), request.content_length)
    except (ValueError, ParseException, ConnectionError, TimeoutError, ClientDisconnected) as error:
        raise UploadRefused(f"the upload is not well-formed, or broke off: {error}") from error
    return form


def _check_room() -> None:
    """Before all that is stored, since an upload takes room itself."""
    shortage = services().shortage()
    if shortage is not None:
        raise NoRoom(shortage)


class _Target:
    """Where the file part goes, once it comes: not more than `most` bytes of it, packed or unpacked."""

    def __init__(self, job_id: str, most: int, digest: bool) -> None:
        self._job_id = job_id
        self._most = most
        self._digest = hashlib.sha256() if digest else None
        self._unpack: Gunzip | None = None
        self._head = b""
        self._packed_bytes = 0
        self.file: NewInput | None = None
        self.filename = ""

    def open(self, filename: str) -> None:
        self.filename = filename
        _check_room()
        self.file = services().files.create_input(self._job_id)

    def write(self, data: bytes) -> None:
        self._packed_bytes += len(data)
        if self._packed_bytes > self._most:
            raise RequestEntityTooLarge
        if len(self._head) < len(GZIP_MAGIC):
            self._head += data
            if len(self._head) < len(GZIP_MAGIC):
                return
            data = self._head
            if data.startswith(GZIP_MAGIC):
                self._unpack = Gunzip()
        if self._unpack is None:
            self._store(data)
            return
        for piece in self._unpack.feed(data):
            self._store(piece)

    def seek(self, offset: int) -> None:
        """The parser calls this, to rewind, when it has written the last of the file."""
        if self._packed_bytes < len(GZIP_MAGIC):
            self._store(self._head)
        if self._unpack is not None:
            self._unpack.finish()

    def hexdigest(self) -> str | None:
        return self._digest.hexdigest() if self._digest is not None else None

    def _store(self, data: bytes) -> None:
        assert self.file is not None
        if self.file.tell() + len(data) > self._most:
            raise RequestEntityTooLarge
        _check_room()
        if self._digest is not None:
            self._digest.update(data)
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[self.file.write(remaining) :]


class _Parser(MultiPartParser):
    """Writes the first file in the field `file` to the target, and lets all other files go."""

    def __init__(self, target: _Target) -> None:
        super().__init__(
            max_form_memory_size=MAX_FORM_BYTES,
            max_form_parts=MAX_PARTS,
            buffer_size=READ_BYTES,
        )
        self._target = target

    def start_file_streaming(self, event: File, total_content_length: int | None) -> IO[bytes]:
        if event.name != FILE_FIELD or self._target.file is not None:
            return cast("IO[bytes]", _Nowhere())
        self._target.open(event.filename or "")
        return cast("IO[bytes]", self._target)


class _Nowhere:
    def write(self, data: bytes) -> None: ...
    def seek(self, offset: int) -> None: ...
