"""The rows that a job refused, and those it never came to, as CSV that can be uploaded again."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import RowMapping

from jobsvc.jobs.errors import FilesRemoved, NotAllowed
from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.results import NoResult
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobFailed
from jobsvc.kinds.csv_encodings import UTF_8, known_encoding
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

ANY_BYTES = "latin-1"
"""An encoding in which every byte is a character."""

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
        dialect = Dialect.of(job)
        try:
            extra, columns = self._header(job, file, dialect)
            yield dialect.row([*ADDED_COLUMNS, *columns])
            for rows in self._refused(job):
                piece = bytearray()
                for row in rows:
                    piece += dialect.row([row["line"] or row["item"], row["error"]])
                    if file is not None and row["offset"] is not None:
                        file.seek(row["offset"])
                        data = file.read(min(row["length"], MOST_ROW_BYTES))
                        piece[-1:] = dialect.behind(data, extra)
                    if len(piece) >= PIECE_BYTES:
                        yield bytes(piece)
                        piece.clear()
                yield bytes(piece)
        finally:
            if file is not None:
                file.close()

    def _refused(self, job: Job) -> Iterator[Sequence[RowMapping]]:
        after = 0
        while True:
            with self._database.read() as connection:
                found = job_rows.refused_after(connection, job.key, after, ROWS_AT_A_TIME)
            yield found
            if len(found) < ROWS_AT_A_TIME:
                return
            after = found[-1]["item"]

    def _header(self, job: Job, file: BinaryIO | None, dialect: Dialect) -> tuple[int, list[str]]:
        """How many columns at the beginning of each row are left out, and the others' names.

        They come from the file itself: the job's cursor is gone after a rollback.
        """
        if file is not None:
            with suppress(JobFailed):
                cursor, columns = read_header(file, dialect.encoding, dialect.delimiter)
                return cursor["extra"], columns
        return 0, self._place(job).columns or []

    def _place(self, job: Job) -> Place:
        with self._database.read() as connection:
            return Place.from_row(job_rows.place(connection, job.key))

    def unprocessed(self, job: Job) -> Iterator[bytes]:
        """The header and every row past the cursor, byte for byte.

        Raises NotAllowed while the cursor moves, NoResult if there is no upload, FilesRemoved if it was.
        """
        if job.state not in _STILL:
            raise NotAllowed(job.id, job.state, "asked for what it has not processed, before it stands still")
        cursor = self._place(job).cursor
        offset = None if cursor is None else cursor.get("offset")
        return self._unprocessed(self._open(job, READ_AHEAD_BYTES), Dialect.of(job), offset)

    def _unprocessed(self, file: BinaryIO, dialect: Dialect, offset: int | None) -> Iterator[bytes]:
        with file:
            try:
                header_end: int = read_header(file, dialect.encoding, dialect.delimiter)[0]["offset"]
            except JobFailed:
                header_end = 0
            file.seek(0)
            yield file.read(header_end)
            file.seek(header_end if offset is None else offset)
            while data := file.read(PIECE_BYTES):
                yield data

    def _open(self, job: Job, ahead: int) -> BinaryIO:
        if job.files_removed_at is not None:
            raise FilesRemoved(job.id, job.files_removed_at)
        try:
            return self._files.open_input(job.id, ahead=ahead)
        except FileNotFoundError:
            raise NoResult(job.id) from None


@dataclass(frozen=True)
class Dialect:
    """How a job's upload is written."""

    encoding: str
    delimiter: str

    @classmethod
    def of(cls, job: Job) -> Dialect:
        try:
            encoding = known_encoding(job.params.get("encoding", UTF_8))
        except ValueError:
            # It was allowed once. Every byte is some character here, and remains it.
            encoding = ANY_BYTES
        delimiter = job.params.get("delimiter", ",")
        return cls(encoding, delimiter if isinstance(delimiter, str) and len(delimiter) == 1 else ",")

    def row(self, fields: Sequence[object]) -> bytes:
        """One row. What the encoding has no character for is described in its place."""
        return csv_text([fields], self.delimiter).encode(self.encoding, "described")

    def behind(self, data: bytes, extra: int) -> bytes:
        """What follows other fields: the row of these bytes, as well as its fields can be told apart.

        The first `extra` of them are left out.
        """
        for encoding in (self.encoding, ANY_BYTES):
            try:
                text = data.decode(encoding, "surrogateescape")
                fields = _fields(text, self.delimiter)[extra:]
                if text.encode(encoding, "surrogateescape") == data:
                    row = csv_text([["", *fields]], self.delimiter) if fields else "\n"
                    return row.encode(encoding, "surrogateescape")
            except UnicodeError:
                # Bytes of which no two runs of characters can be told apart.
                continue
        raise AssertionError(ANY_BYTES)


def _fields(text: str, delimiter: str) -> list[str]:
    """The fields of one refused row, as well as they can be told apart."""
    text = text.removesuffix("\n").removesuffix("\r")
    try:
        return next(csv.reader(iter([text]), delimiter=delimiter), [])
    except csv.Error:
        # A carriage return inside an unquoted field.
        return text.split(delimiter)


def _described(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: three points for an ellipsis, else as Python writes them."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return lacking.replace("…", "...").encode("ascii", "namereplace").decode(), error.end


codecs.register_error("described", _described)
