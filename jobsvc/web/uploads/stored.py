"""Where an upload goes, as it comes: into its final place, as long as there is room for it."""

from __future__ import annotations

import hashlib

from werkzeug.exceptions import RequestEntityTooLarge

from jobsvc.files.contract import NewInput
from jobsvc.jobs.stored_file import StoredFile
from jobsvc.metrics.instruments import UPLOADED_BYTES
from jobsvc.service.limits.quotas import Allowance
from jobsvc.store.errors import NoRoom
from jobsvc.web.services import services
from jobsvc.web.uploads.arrival import Arrival
from jobsvc.web.uploads.target import Target


def _check_room() -> None:
    """Called before anything is stored, since an upload takes room itself."""
    shortage = services().shortage()
    if shortage is not None:
        raise NoRoom(shortage)


class Stored(Target):
    """Takes not more than `most` bytes, packed or unpacked, and not more than the `allowance` has left, as sent or as
    stored. Beside what any target raises: NoRoom, TooMuchStored."""

    def __init__(self, job_id: str, most: int, allowance: Allowance) -> None:
        super().__init__()
        self._job_id = job_id
        self._most = most
        self._allowance = allowance
        self._digest = hashlib.sha256()
        self._arrival = Arrival()
        self._arrived_bytes = 0
        self.file: NewInput | None = None
        self.size = 0
        """How many bytes it has, once it is whole."""

    def open(self, filename: str | None, content_type: str) -> None:
        super().open(filename, content_type)
        _check_room()
        self.file = services().files.create_input(self._job_id)

    @property
    def was_packed(self) -> bool:
        return self._arrival.was_packed

    @property
    def codec(self) -> str | None:
        return self._arrival.codec

    def write(self, data: bytes | memoryview) -> None:
        self._arrived_bytes += len(data)
        UPLOADED_BYTES.inc(len(data))
        if self._arrived_bytes > self._most:
            raise self._too_large()
        self._allowance.check(self._arrived_bytes)
        for piece in self._arrival.feed(data):
            self._store(piece)

    def finish(self) -> None:
        for piece in self._arrival.finish():
            self._store(piece)

    def told(self) -> StoredFile:
        """What is to be remembered of the file, once it is in the store."""
        return StoredFile(self.size, self._digest.hexdigest(), services().files.mark_of_input(self._job_id))

    def _store(self, data: bytes | memoryview) -> None:
        assert self.file is not None
        if self.file.tell() + len(data) > self._most:
            raise self._too_large()
        self._allowance.check(self.file.tell() + len(data))
        _check_room()
        self._digest.update(data)
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[self.file.write(remaining) :]

    def _too_large(self) -> RequestEntityTooLarge:
        return RequestEntityTooLarge(f"the file has more than {self._most} bytes; the limit is JOBSVC_MAX_UPLOAD_BYTES")
