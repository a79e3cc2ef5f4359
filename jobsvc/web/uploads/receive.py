"""Receiving an uploaded file: it is written straight into its final place, as it comes.

It is the one file of a form, in the field `file`, or the whole body of the request.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from flask import request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import BadRequest, ClientDisconnected
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import File

from jobsvc.files.contract import Files, Readable
from jobsvc.jobs.errors import InvalidParameter
from jobsvc.jobs.stored_file import StoredFile
from jobsvc.metrics.instruments import UPLOADS
from jobsvc.service.limits.quotas import Allowance
from jobsvc.store.errors import DatabaseBusy, DatabaseDown, DiskFull, FilesDown
from jobsvc.web.services import services
from jobsvc.web.uploads.body import buffer_bytes, pieces, receive_body
from jobsvc.web.uploads.multipart import MAX_FORM_BYTES, Malformed, read_form
from jobsvc.web.uploads.recognition import NotReadable
from jobsvc.web.uploads.stored import Stored
from jobsvc.web.uploads.target import Target

log = logging.getLogger(__name__)

FILE_FIELD = "file"

FORM = "multipart/form-data"

GZIP_CODINGS = {"gzip", "x-gzip"}


class UploadRefused(BadRequest):
    """The request has no file, or one that can't be read, or one that did not arrive whole; the text says which."""


class Upload:
    """A file that has arrived, and the options that came with it."""

    def __init__(self, file: Readable, target: Target, stored: StoredFile, options: dict[str, str]) -> None:
        self.file = file
        self.filename = target.filename
        """What the client called the file, if it did; for people to read, never a path."""
        self.options = options
        self.stored = stored
        self.warnings = target.warnings
        self.kept = False

    def keep(self) -> None:
        """The file belongs to a job now: it stays."""
        self.kept = True


@contextmanager
def receive(job_id: str, allowance: Allowance) -> Iterator[Upload]:
    """Receive the request's file as the input of the job `job_id` to be; gzip is unpacked, UTF-16 becomes UTF-8.

    Unless the block calls `keep`, nothing of it stays. Raises UploadRefused,
    InvalidParameter, RequestEntityTooLarge, NoRoom, TooMuchStored.
    """
    files = services().files
    most = services().settings.max_upload_bytes
    target = Stored(job_id, most, allowance)
    committed = kept = False
    try:
        with UPLOADS.track_inprogress():
            options = read_request(target, most + MAX_FORM_BYTES)
        target.settle_encoding(options, target.codec)
        assert target.file is not None
        if target.file.tell() == 0:
            raise UploadRefused("the file is empty")
        target.size = target.file.tell()
        target.file.commit()
        committed = True
        upload = Upload(files.uploaded(job_id), target, target.told(), options)
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
        # The client is to hear of the first error, not of this one.
        log.warning("the upload is left behind, as a stray: %s", error, extra={"job": job_id})


def read_request(target: Target, most: int, apart: Collection[str] = ()) -> dict[str, str]:
    """Read the request, of `most` bytes at most, into the target; returns its options.

    `apart`: names in the query that are no options. Raises UploadRefused, InvalidParameter,
    RequestEntityTooLarge.
    """
    request.max_content_length = most
    options = _once("query", [given for given in request.args.items(multi=True) if given[0] not in apart])
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    is_form = request.mimetype == FORM
    if coding not in {"identity", ""} and (is_form or coding not in GZIP_CODINGS):
        allowed = "none for a form" if is_form else "gzip"
        raise UploadRefused(f"the request's Content-Encoding is {coding[:40]!r}; allowed is {allowed}")
    if "Content-Range" in request.headers:
        raise UploadRefused("the request has a Content-Range, but a file is taken whole or not at all")
    try:
        if is_form:
            found = _read_form(target)
        else:
            found = []
            _read_body(target)
            if coding in GZIP_CODINGS and target.is_open and not target.was_packed:
                raise UploadRefused(f"the request's Content-Encoding is {coding!r}, but its body is not gzip")
    except (Malformed, NotReadable) as error:
        raise UploadRefused(str(error)) from error
    except (ParseException, ConnectionError, TimeoutError, ClientDisconnected) as error:
        raise UploadRefused("the upload broke off before it was whole") from error
    fields = _once("form", found)
    for name in fields:
        if name == FILE_FIELD:
            raise UploadRefused(
                f"the form field `{FILE_FIELD}` has no file name: send it as curl -F {FILE_FIELD}=@data.csv does"
            )
        if name in options:
            raise InvalidParameter(name, "it is given twice, in the query and in the form")
    options |= fields
    if not target.is_open:
        raise UploadRefused(f"there is no file: send it in the form field `{FILE_FIELD}`, or as the body")
    return options


def _once(where: str, given: list[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given:
        if name in found:
            raise InvalidParameter(name, f"it is given twice in the {where}")
        found[name] = value
    return found


def _read_form(target: Target) -> list[tuple[str, str]]:
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise UploadRefused(f"the Content-Type is {FORM}, but names no boundary; clients name it by themselves if let")

    def open_file(event: File) -> Target:
        if event.name != FILE_FIELD:
            raise UploadRefused(
                f"there is a file in the form field {event.name[:80]!r}: the file belongs in `{FILE_FIELD}`, "
                "and options are fields without a file name"
            )
        if target.is_open:
            raise UploadRefused(f"there are two files in the form field `{FILE_FIELD}`; send one")
        target.open(event.filename, event.headers.get("Content-Type", ""))
        return target

    return read_form(receive_body(), boundary, open_file, target.finish, buffer=buffer_bytes())


def _read_body(target: Target) -> None:
    """The body is the file, whatever its Content-Type says (curl -d has one of its own)."""
    arrived = 0
    for data in pieces(receive_body(), buffer_bytes()):
        arrived += len(data)
        if not target.is_open:
            disposition = request.headers.get("Content-Disposition", "")
            target.open(parse_options_header(disposition)[1].get("filename"), request.headers.get("Content-Type", ""))
        target.write(data)
    if arrived < (request.content_length or 0):
        # Whatever server this is: part of a file is never taken for the file.
        raise ClientDisconnected
    if target.is_open:
        target.finish()


def least_bytes() -> int:
    """How large the file of the request is at least, as far as its header tells."""
    beside = MAX_FORM_BYTES if request.mimetype == FORM else 0
    return max(0, (request.content_length or 0) - beside)
