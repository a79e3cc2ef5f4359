"""The rows that a job refused, and those it never came to, to be mended and uploaded again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from jobsvc.files.contract import READ_AHEAD_BYTES, Files
from jobsvc.jobs.errors import FilesRemoved, NotAllowed
from jobsvc.jobs.job import Job, Place
from jobsvc.jobs.states import STANDING_STILL
from jobsvc.kinds.contract import Kind, LeftOverRows, Refusal
from jobsvc.kinds.csv.left_over import CsvLeftOver
from jobsvc.runs.hooks import contained
from jobsvc.service.results import NoResult
from jobsvc.store.database import Database
from jobsvc.store.queries import job_rows, refused_rows

ROWS_AT_A_TIME = 1000

PIECE_BYTES = 256 * 1024

HERE_AND_THERE_BYTES = 128 * 1024
"""How much is read ahead where rows may stand far apart."""


class LeftOver:
    """Reads uploads again, where the job's cursor and list of refused rows point. Kinds say in which form."""

    def __init__(self, database: Database, files: Files, kinds: Mapping[str, Kind]) -> None:
        self._database = database
        self._files = files
        self._kinds = kinds

    def failed(self, job: Job) -> Iterator[bytes]:
        """Every refused row with its reason, in order, in pieces. Raises FilesRemoved if the upload was."""
        try:
            file: BinaryIO | None = self._open(job, HERE_AND_THERE_BYTES)
        except NoResult:
            file = None
        return self._failed(job, file)

    def _failed(self, job: Job, file: BinaryIO | None) -> Iterator[bytes]:
        try:
            rows = self._rows(job, file, self._place(job))
            yield rows.head()
            for refusals in self._refused(job):
                piece = bytearray()
                for refusal in refusals:
                    for data in rows.refused(refusal):
                        piece += data
                        if len(piece) >= PIECE_BYTES:
                            yield bytes(piece)
                            piece.clear()
                yield bytes(piece)
        finally:
            if file is not None:
                file.close()

    def _refused(self, job: Job) -> Iterator[Sequence[Refusal]]:
        after = 0
        while True:
            with self._database.read() as connection:
                found = refused_rows.of_job(connection, job.key, after, ROWS_AT_A_TIME)
            yield [Refusal(row["item"], row["error"], row["line"], row["offset"], row["length"]) for row in found]
            if len(found) < ROWS_AT_A_TIME:
                return
            after = found[-1]["item"]

    def unprocessed(self, job: Job) -> Iterator[bytes]:
        """What the job has not come to, in pieces.

        Raises NotAllowed while the cursor moves, NoResult if there is no upload, FilesRemoved if it was.
        """
        if job.state not in STANDING_STILL:
            raise NotAllowed(job.id, job.state, "asked for what it has not processed, before it stands still")
        place = self._place(job)
        return self._unprocessed(job, self._open(job, READ_AHEAD_BYTES), place)

    def _unprocessed(self, job: Job, file: BinaryIO, place: Place) -> Iterator[bytes]:
        with file:
            yield from self._rows(job, file, place).unprocessed(place.cursor)

    def _rows(self, job: Job, file: BinaryIO | None, place: Place) -> LeftOverRows:
        """As the job's kind gives them back: as CSV, unless it says otherwise, or is no longer there to be asked."""
        kind, columns = self._kinds.get(job.kind), place.columns or []
        own = None
        if kind is not None:
            with contained(kind):
                own = kind.left_over(job.params, file, columns)
        return own or CsvLeftOver(job.params, file, columns)

    def _place(self, job: Job) -> Place:
        with self._database.look() as connection:
            return Place.from_row(job_rows.place(connection, job.key))

    def _open(self, job: Job, ahead: int) -> BinaryIO:
        if job.files_removed_at is not None:
            raise FilesRemoved(job.id, job.files_removed_at)
        try:
            return self._files.open_input(job.input_id, ahead=ahead)
        except FileNotFoundError:
            raise NoResult(job.id) from None
