"""`createExport`: every date in a range is exported to one CSV file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from time import monotonic
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import Connection, exists, func, select, tuple_

from jobsvc.kinds.builtin.export_columns import Layouts, columns_of_all, columns_of_one
from jobsvc.kinds.builtin.plain_records import PlainRecords
from jobsvc.kinds.contract import (
    BadParameter,
    Batch,
    Effects,
    End,
    ItemAbandoned,
    JobContext,
    JobFailed,
    Kind,
    KindParams,
    KnownJobs,
    OutputFile,
    Refusal,
    Work,
)
from jobsvc.kinds.csv.header import BYTE_ORDER_MARK, EXPORTED_COLUMNS, distinct
from jobsvc.kinds.csv.text import csv_text, defused
from jobsvc.store.errors import OutputLost
from jobsvc.store.queries.record_fields import data_of
from jobsvc.store.streaming import streamed_fast
from jobsvc.store.tables import jobs, records

RECORDS_AT_A_TIME = 2000
CHARACTERS_AT_A_TIME = 1024 * 1024
"""How many records, and about how much of them, are held in memory."""

ENTRIES_AT_A_TIME = 20_000
"""How many records of others are passed over at a time: some milliseconds' worth."""

CELLS_AT_A_TIME = 50_000
"""About how many cells of the export are written at once."""

SECONDS_BETWEEN_CHECKPOINTS = 0.5

Place: TypeAlias = tuple[int, int]
"""job key, row: where a record stands among those of its date."""

Found: TypeAlias = tuple[int, int, bytes]
"""job key, row, and data. The data is JSON text, unless somebody else has written it."""


def _iso_date(value: object) -> date:
    """A date of the form YYYY-MM-DD, and no other that ISO 8601 allows."""
    try:
        day = date.fromisoformat(str(value))
    except ValueError:
        day = None
    if day is None or not isinstance(value, (str, date)) or day.isoformat() != str(value):
        raise ValueError(f"{str(value)[:40]!r} must be a date, YYYY-MM-DD")
    return day


IsoDate: TypeAlias = Annotated[date, BeforeValidator(_iso_date)]


class ExportParams(KindParams):
    first: IsoDate = Field(alias="from", description="the first date, YYYY-MM-DD")
    last: IsoDate = Field(alias="to", description="the last date, included")
    job: str | None = Field(None, description="export only what this job made")
    for_spreadsheet: bool = Field(
        False,
        description="begin with a byte order mark, and put an apostrophe before what a spreadsheet takes for a formula",
    )

    @model_validator(mode="after")
    def _in_order(self) -> ExportParams:
        if self.first > self.last:
            raise ValueError("from must not be after to")
        return self


class CreateExport(Kind):
    """The records of every date in a range go to one CSV."""

    name = "createExport"
    exports = "records"
    takes_file = False
    items = "days"
    Params = ExportParams

    def open(self, context: JobContext) -> Work:
        return _Export(context)

    def check_jobs(self, params: ExportParams, jobs: KnownJobs) -> None:
        if params.job is not None and not jobs.existed(params.job):
            raise BadParameter("job", f"there is no job {params.job!r}")

    def undo(self, effects: Effects, limit: int) -> int:
        """The service removes a job's files at the end of a rollback; there is nothing else."""
        return 0


class _Export(Work):
    """Positions are in dates. The cursor is the next date and where the file goes on.

    The file's header is settled with the first date. Records of jobs that were submitted
    after the export are left out, and those of jobs with columns that the header lacks.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._first: date = context.params.first
        self._last: date = context.params.last
        self._job: str | None = context.params.job
        self._next: int = context.cursor["day"] if context.cursor else self._first.toordinal()
        self.size = (self._last - self._first).days + 1
        self.columns = context.columns
        self._layouts: Layouts | None = None
        self._next_with_records: bytes | None = self._first.isoformat().encode()
        """No date before it has records, as far as is known; None: no date has any more."""
        self._is_dense = False
        """Whether the date before has records: then the next one may have some, too."""
        self._ends: list[int] = []
        try:
            self._file: OutputFile = context.open_output(context.cursor)
        except OutputLost as error:
            raise JobFailed(str(error)) from error

    def batches(self) -> Iterator[Batch]:
        while self._next <= self._last.toordinal():
            self._ends = [self._file.tell()]
            yield _Dates(self._first.toordinal(), self._next, self._last.toordinal(), self._ends, self._file)
            self._next += len(self._ends) - 1

    def process(self, day: date) -> None:
        """Write one date's records. Raises ItemAbandoned within a long date if the run is asked to stop."""
        if self._layouts is None:
            self._layouts = self._begun()
        after: Place | None = (0, 0) if self._is_dense or self._has_records(day) else None
        self._is_dense = False
        while after is not None:
            with self._context.read() as connection:
                found, after = self._records_of(connection, day, after)
            self._is_dense = self._is_dense or bool(found)
            self._write(self._layouts, day, found)
            if after is not None:
                self._look()
        self._ends.append(self._file.tell())

    def _begun(self) -> Layouts:
        """Settle the columns, if no earlier run has, and write the header, if it isn't there."""
        context = self._context
        if self.columns is None:
            if self._job is not None:
                self.columns = columns_of_one(context.read, self._job)
            else:
                self.columns = columns_of_all(
                    *(context.read, self._first, self._last, context.key, context.stopped), owner=context.owner
                )
        if self._file.tell() == 0:
            names = distinct([*EXPORTED_COLUMNS, *self.columns]).names
            self._file.write((BYTE_ORDER_MARK if context.params.for_spreadsheet else b"") + self._text([names]))
        careful = context.params.for_spreadsheet
        return Layouts(context.read, self.columns, job_id=self._job, below=context.key, for_spreadsheet=careful)

    def _write(self, layouts: Layouts, day: date, found: Sequence[Found]) -> None:
        """Write records, a piece at a time: rows can be much longer than their records."""
        text = day.isoformat()
        date = text.encode()
        lines: list[bytes] = []
        rows: list[list[Any]] = []
        cells = 0
        before: int | None = None
        plain: PlainRecords | None = None
        for number, (key, row, data) in enumerate(found):
            if key != before:
                if not layouts.knows(key):
                    layouts.load(later[0] for later in found[number:])
                before, plain = key, layouts.plain(key)
            if plain is not None and (line := plain.line(row, date, data)) is not None:
                if rows:
                    lines.append(self._text(rows))
                    rows = []
                lines.append(line)
                continue
            made = layouts.row(key, row, text, data)
            if made is not None:
                rows.append(made)
                cells += len(made)
            if cells > CELLS_AT_A_TIME:
                self._file.write(b"".join([*lines, self._text(rows)]))
                lines, rows, cells = [], [], 0
                self._look()
        self._file.write(b"".join([*lines, self._text(rows)]))

    def _text(self, rows: list[list[Any]]) -> bytes:
        if self._context.params.for_spreadsheet:
            rows = [[defused(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
        return csv_text(rows).encode()

    def _look(self) -> None:
        if self._context.stopped.is_set():
            raise ItemAbandoned

    def _has_records(self, day: date) -> bool:
        """Whether the date has records. Dates without any, which may be most, are skipped without asking for each."""
        wanted = day.isoformat().encode()
        if self._next_with_records is None or wanted < self._next_with_records:
            return False
        with self._context.read() as connection:
            query = select(func.min(records.c.date)).where(records.c.date >= day.isoformat())
            found = connection.execute(query).scalar_one()
        # As bytes, in which the database compares them: what is no date at all is just passed by.
        self._next_with_records = found.encode(errors="surrogateescape") if isinstance(found, str) else None
        return self._next_with_records == wanted

    def _records_of(self, connection: Connection, day: date, after: Place) -> tuple[list[Found], Place | None]:
        """Some of a date's records after the place `after`, and where to go on; None: there are no more."""
        until = None if self._context.owner is None else _so_far(connection, day, after)
        query = (
            select(records.c.job_key, records.c.row, data_of(connection))
            .where(records.c.date == day.isoformat(), tuple_(records.c.job_key, records.c.row) > after)
            .order_by(records.c.job_key, records.c.row)
            .limit(RECORDS_AT_A_TIME)
        )
        if self._job is not None:
            # The sum keeps SQLite from searching the whole job for each date, instead of the date's index.
            mine = select(jobs.c.key).where(jobs.c.id == self._job).scalar_subquery()
            query = query.where((records.c.job_key + 0) == mine)
        if self._context.owner is not None:
            # For each record of the date, so that its index is used.
            its_job = jobs.c.key == records.c.job_key
            query = query.where(exists().where(its_job, jobs.c.user == self._context.owner))
            if until is not None:
                query = query.where(tuple_(records.c.job_key, records.c.row) <= until)
        found: list[Found] = []
        characters = 0
        with streamed_fast(connection, query) as result:
            for key, row, data in result:
                found.append((key, row, data if type(data) is bytes else data.encode()))
                characters += len(data)
                if characters > CHARACTERS_AT_A_TIME:
                    return found, (key, row)
        return found, (found[-1][0], found[-1][1]) if len(found) == RECORDS_AT_A_TIME else until

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        try:
            self._file.finish()
        except OutputLost as error:
            raise JobFailed(str(error)) from error

    def close(self) -> None:
        self._file.close()


def _so_far(connection: Connection, day: date, after: Place) -> Place | None:
    """How far to look at once where most records may be other users'; None: to the end of the date."""
    query = (
        select(records.c.job_key, records.c.row)
        .where(records.c.date == day.isoformat(), tuple_(records.c.job_key, records.c.row) > after)
        .order_by(records.c.job_key, records.c.row)
        .offset(ENTRIES_AT_A_TIME - 1)
        .limit(1)
    )
    found = connection.execute(query).one_or_none()
    return None if found is None else (found.job_key, found.row)


class _Dates(Batch):
    """The dates from `start` on, until it is time for a checkpoint. All dates here are proleptic ordinals.

    `ends` holds the file's length at the start and after each date that is done.
    """

    def __init__(self, first: int, start: int, last: int, ends: list[int], file: OutputFile) -> None:
        self._first, self._start, self._last = first, start, last
        self._ends = ends
        self._file = file
        self.items = self._dates()

    def _dates(self) -> Iterator[date]:
        begun = monotonic()
        for day in range(self._start, self._last + 1):
            yield date.fromordinal(day)
            if monotonic() - begun > SECONDS_BETWEEN_CHECKPOINTS:
                return

    def end(self, taken: int) -> End:
        day = self._start + taken
        return End({"day": day, **self._file.mark(self._ends[taken])}, day - self._first)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)
