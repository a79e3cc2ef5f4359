"""The rows that a job refused, and those it never came to, as CSV that can be uploaded again."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import RowMapping

from jobsvc.files.contract import READ_AHEAD_BYTES, Files
from jobsvc.jobs.errors import FilesRemoved, NotAllowed
from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobFailed
from jobsvc.kinds.csv.encodings import UTF_8, known_encoding
from jobsvc.kinds.csv.format import MAX_ROW_BYTES, CsvFormat, Quotes
from jobsvc.kinds.csv.header import REFUSED_COLUMNS, read_header
from jobsvc.kinds.csv.text import csv_text
from jobsvc.service.results import NoResult
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows, refused_rows

ROWS_AT_A_TIME = 1000

PIECE_BYTES = 256 * 1024

HERE_AND_THERE_BYTES = 128 * 1024
"""How much is read ahead where rows may stand far apart."""

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
        """`_line`, `_error` and every refused row, byte for byte, in order; the first two in the upload's own dialect.

        Rows without a place in a file have their item number as `_line`. Raises
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
            yield dialect.row([*REFUSED_COLUMNS, *columns])
            for rows in self._refused(job):
                piece = bytearray()
                for row in rows:
                    piece += dialect.row([row["line"] or row["item"], row["error"]])
                    if file is not None and row["offset"] is not None:
                        piece[-1:] = dialect.form.delimiter.encode()
                        for data in _bytes_of(file, row["offset"], row["length"], dialect, extra):
                            piece += data
                            if len(piece) >= PIECE_BYTES:
                                yield bytes(piece)
                                piece.clear()
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
                found = refused_rows.of_job(connection, job.key, after, ROWS_AT_A_TIME)
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
                header = read_header(file, dialect.form)
                return header.start["extra"], header.columns
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
                header_end: int = read_header(file, dialect.form).start["offset"]
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


def _bytes_of(file: BinaryIO, offset: int, length: int, dialect: Dialect, extra: int) -> Iterator[bytes]:
    """A row as it was sent, in pieces, without its first `extra` columns. It always has a line end."""
    file.seek(offset)
    last = b""
    while length > 0 and (data := file.read(min(length, PIECE_BYTES))):
        length -= len(data)
        if extra:
            # They are ours, and short: a number, and a reason.
            data, extra = data[dialect.cut(data, extra) :], 0
        if data:
            yield data
            last = data[-1:]
    if last not in (b"\n", b"\r"):
        yield b"\n"


@dataclass(frozen=True)
class Dialect:
    """How a job's upload is written."""

    form: CsvFormat

    @classmethod
    def of(cls, job: Job) -> Dialect:
        try:
            encoding = known_encoding(job.params.get("encoding", UTF_8))
        except ValueError:
            # It was allowed once. Every byte is some character here, and remains it.
            encoding = ANY_BYTES
        delimiter = job.params.get("delimiter", ",")
        quotes = job.params.get("quotes", Quotes.STRICT)
        return cls(
            CsvFormat(
                encoding,
                delimiter if isinstance(delimiter, str) and len(delimiter) == 1 else ",",
                Quotes(quotes) if quotes in list(Quotes) else Quotes.STRICT,
                max_row_bytes=MAX_ROW_BYTES,
            )
        )

    def row(self, fields: Sequence[object]) -> bytes:
        """One row. What the encoding has no character for is described in its place."""
        delimiter = self.form.delimiter
        if self.form.quotes is Quotes.NONE:
            # Nothing can enclose them: what would end a field is left out.
            ends = re.compile(f"[\r\n{re.escape(delimiter)}]+")
            text = delimiter.join(ends.sub(" ", str(field)) for field in fields) + "\n"
        else:
            text = csv_text([fields], delimiter)
        return text.encode(self.form.encoding, "described")

    def cut(self, data: bytes, columns: int) -> int:
        """Where a row's bytes go on after its first fields; their end if it has no more."""
        if not columns:
            return 0
        for encoding in (self.form.encoding, ANY_BYTES):
            try:
                text = data.decode(encoding, "surrogateescape")
                head = text[: self._end_of(text, columns)].encode(encoding, "surrogateescape")
            except UnicodeError:
                # Bytes of which no two runs of characters can be told apart.
                continue
            if data.startswith(head):
                return len(head)
        return 0

    def _end_of(self, text: str, columns: int) -> int:
        at = 0
        for _ in range(columns):
            enclosed = None if self.form.quotes is Quotes.NONE else _ENCLOSED.match(text, at)
            end = text.find(self.form.delimiter, enclosed.end() if enclosed else at)
            if end < 0:
                return len(text.rstrip("\r\n"))
            at = end + 1
        return at


_ENCLOSED = re.compile(r'"(?:[^"]|"")*"')


def _described(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: three points for an ellipsis, else as Python writes them."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return lacking.replace("…", "...").encode("ascii", "namereplace").decode(), error.end


codecs.register_error("described", _described)
