"""The rows that a job refused, and those it never came to, as CSV that can be uploaded again."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from jobsvc.jobs.errors import FilesRemoved, NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.results import NoResult
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobFailed
from jobsvc.kinds.csv_source import ADDED_COLUMNS, read_header
from jobsvc.kinds.csv_text import csv_text
from jobsvc.store import job_rows
from jobsvc.store.database import Database
from jobsvc.store.files import READ_AHEAD_BYTES, Files

ROWS_AT_A_TIME = 1000

PIECE_BYTES = 256 * 1024

HERE_AND_THERE_BYTES = 128 * 1024
"""How much is read ahead where rows may stand far apart."""

MOST_ROW_BYTES = 2 * 1024 * 1024
"""Of a longer row, which was refused for its length, only the beginning is given."""

_STILL = frozenset({State.PAUSED, State.TERMINATED, State.INTERRUPTED, State.FAILED, State.SUCCEEDED})
"""States in which the cursor stays where it is."""


class LeftOver:
    """Reads uploads again, where the job's cursor and list of refused rows point."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def failed(self, job: Job) -> Iterator[bytes]:
        """`line`, `error` and the original fields of every refused row, in order, in the upload's own dialect.

        Rows without a place in a file have their item number as `line`. Raises
        FilesRemoved if the upload was.
        """
        try:
            file: BinaryIO | None = self._open(job, HERE_AND_THERE_BYTES)
        except NoResult:
            file = None
        return self._failed(job, file)

    def _failed(self, job: Job, file: BinaryIO | None) -> Iterator[bytes]:
        delimiter = job.params.get("delimiter", ",")
        encoding = job.params.get("encoding", "utf-8")
        extra = (job.cursor or {}).get("extra", 0)

        def lines(rows: list[Sequence[object]]) -> bytes:
            return csv_text(rows, delimiter).encode(encoding, "surrogateescape")

        try:
            yield lines([[*ADDED_COLUMNS, *(job.columns or [])]])
            after = 0
            while True:
                with self._database.read() as connection:
                    found = job_rows.refused_after(connection, job.key, after, ROWS_AT_A_TIME)
                rows: list[Sequence[object]] = []
                for row in found:
                    fields: list[str] = []
                    if file is not None and row["offset"] is not None:
                        file.seek(row["offset"])
                        data = file.read(min(row["length"], MOST_ROW_BYTES))
                        fields = _fields(data, encoding, delimiter)[extra:]
                    rows.append([row["line"] or row["item"], row["error"], *fields])
                    if len(rows) >= 100:
                        yield lines(rows)
                        rows = []
                yield lines(rows)
                if len(found) < ROWS_AT_A_TIME:
                    return
                after = found[-1]["item"]
        finally:
            if file is not None:
                file.close()

    def unprocessed(self, job: Job) -> Iterator[bytes]:
        """The header and every row past the cursor, byte for byte.

        Raises NotAllowed while the cursor moves, NoResult if there is no upload, FilesRemoved if it was.
        """
        if job.state not in _STILL:
            raise NotAllowed(job.id, job.state, "asked for what it has not processed, before it stands still")
        return self._unprocessed(job, self._open(job, READ_AHEAD_BYTES))

    def _unprocessed(self, job: Job, file: BinaryIO) -> Iterator[bytes]:
        with file:
            try:
                header_end: int = read_header(
                    file, job.params.get("encoding", "utf-8"), job.params.get("delimiter", ",")
                )[0]["offset"]
            except JobFailed:
                header_end = 0
            file.seek(0)
            yield file.read(header_end)
            file.seek(job.cursor["offset"] if job.cursor else header_end)
            while data := file.read(PIECE_BYTES):
                yield data

    def _open(self, job: Job, ahead: int) -> BinaryIO:
        if job.files_removed_at is not None:
            raise FilesRemoved(job.id, job.files_removed_at)
        try:
            return self._files.open_input(job.id, ahead=ahead)
        except FileNotFoundError:
            raise NoResult(job.id) from None


def _fields(data: bytes, encoding: str, delimiter: str) -> list[str]:
    """The fields of one refused row, as well as they can be told apart."""
    text = data.decode(encoding, "surrogateescape")
    text = text.removesuffix("\n").removesuffix("\r")
    try:
        return next(csv.reader(iter([text]), delimiter=delimiter), [])
    except csv.Error:
        # A carriage return inside an unquoted field.
        return text.split(delimiter)
