"""`createExport`: every date in a range is exported to one CSV file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from time import monotonic
from typing import Annotated, TypeAlias

import orjson
from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import Connection, func, select, tuple_

from jobsvc.kinds.contract import (
    Block,
    Effects,
    End,
    ItemAbandoned,
    JobContext,
    JobFailed,
    Kind,
    KindParams,
    OutputFile,
    Refusal,
    Work,
)
from jobsvc.kinds.csv_text import csv_text
from jobsvc.store.errors import OutputLost
from jobsvc.store.tables import jobs, records

FIXED_COLUMNS = ("job_id", "row", "date")

RECORDS_AT_A_TIME = 2000
CHARACTERS_AT_A_TIME = 1024 * 1024
"""How many records, and about how much of them, are held in memory."""

RECORDS_FETCHED = 50
"""How many records the database hands over at once."""

SECONDS_BETWEEN_CHECKPOINTS = 0.5

Place: TypeAlias = tuple[int, int]
"""job key, row: where a record stands among those of its date."""


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

    @model_validator(mode="after")
    def _in_order(self) -> ExportParams:
        if self.first > self.last:
            raise ValueError("from must not be after to")
        return self


class CreateExport(Kind):
    name = "createExport"
    takes_file = False
    Params = ExportParams

    def open(self, context: JobContext) -> Work:
        return _Export(context)

    def undo(self, effects: Effects, limit: int) -> int:
        """The service removes a job's files at the end of a rollback; there is nothing else."""
        return 0


class _Export(Work):
    """Positions are in dates. The cursor is the next date and where the file goes on.

    Its header is settled when the export begins. What jobs make that were
    submitted after it, or whose columns that header does not have, is not in it.
    """

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._first: date = context.params.first
        self._last: date = context.params.last
        self._job: str | None = context.params.job
        self._next: int = context.cursor["day"] if context.cursor else self._first.toordinal()
        self.size = (self._last - self._first).days + 1
        with context.read() as connection:
            involved = self._involved(connection)
        self.columns = context.columns
        if self.columns is None:
            self.columns = list(dict.fromkeys(name for _, names in involved.values() for name in names))
        known = set(self.columns)
        self._layouts = {
            key: (job_id, _layout(names, self.columns))
            for key, (job_id, names) in involved.items()
            if known.issuperset(names)
        }
        self._next_with_records: date | None = self._first
        """No date before it has records, as far as is known; None: no date has any more."""
        self._ends: list[int] = []
        self._file = self._open_file()

    def _involved(self, connection: Connection) -> dict[int, tuple[str, list[str]]]:
        """The id and columns of every job whose records may be exported, by key, in order."""
        query = select(jobs.c.key, jobs.c.id, jobs.c.columns).order_by(jobs.c.key)
        if self._job is not None:
            query = query.where(jobs.c.id == self._job)
        else:
            in_range = records.c.date.between(self._first.isoformat(), self._last.isoformat())
            earlier = records.c.job_key < self._context.key
            query = query.where(jobs.c.key.in_(select(records.c.job_key).where(in_range, earlier).distinct()))
        return {key: (job_id, columns or []) for key, job_id, columns in connection.execute(query)}

    def _open_file(self) -> OutputFile:
        """The file, to go on with behind what the cursor vouches for."""
        try:
            file = self._context.open_output(self._context.cursor)
        except OutputLost as error:
            raise JobFailed(str(error)) from error
        if self._context.cursor is None:
            file.write(csv_text([[*FIXED_COLUMNS, *(self.columns or [])]]).encode())
        return file

    def blocks(self) -> Iterator[Block]:
        while self._next <= self._last.toordinal():
            self._ends = [self._file.tell()]
            yield _Dates(self._first.toordinal(), self._next, self._last.toordinal(), self._ends, self._file)
            self._next += len(self._ends) - 1

    def process(self, day: date) -> None:
        """Write one date's records. Gives up within a long date if the run is asked to stop."""
        after: Place = (0, 0)
        more = self._has_records(day)
        while more:
            with self._context.read() as connection:
                found, more = self._records_of(connection, day, after)
            known = ((self._layouts[key], row, data) for key, row, data in found if key in self._layouts)
            rows = [
                [job_id, row, day.isoformat(), *_arranged(orjson.loads(data), layout)]
                for (job_id, layout), row, data in known
            ]
            self._file.write(csv_text(rows).encode())
            if not more:
                break
            after = (found[-1][0], found[-1][1])
            if self._context.stopped.is_set():
                raise ItemAbandoned
        self._ends.append(self._file.tell())

    def _has_records(self, day: date) -> bool:
        """Whether the date has records. Dates without any, which may be most, are skipped without asking for each."""
        if self._next_with_records is None or day < self._next_with_records:
            return False
        with self._context.read() as connection:
            query = select(func.min(records.c.date)).where(records.c.date >= day.isoformat())
            found = connection.execute(query).scalar_one()
        self._next_with_records = None if found is None else date.fromisoformat(found)
        return self._next_with_records == day

    def _records_of(self, connection: Connection, day: date, after: Place) -> tuple[list[tuple[int, int, str]], bool]:
        """Some of a date's records behind `after`, and whether there may be more."""
        query = (
            select(records.c.job_key, records.c.row, records.c.data)
            .where(records.c.date == day.isoformat(), tuple_(records.c.job_key, records.c.row) > after)
            .order_by(records.c.job_key, records.c.row)
            .limit(RECORDS_AT_A_TIME)
        )
        if self._job is not None:
            # The sum keeps SQLite from searching the whole job for each date, instead of the date's index.
            query = query.where((records.c.job_key + 0).in_(self._layouts))
        found: list[tuple[int, int, str]] = []
        characters = 0
        with connection.execution_options(yield_per=RECORDS_FETCHED).execute(query) as result:
            for key, row, data in result:
                found.append((key, row, data))
                characters += len(data)
                if characters > CHARACTERS_AT_A_TIME:
                    return found, True
        return found, len(found) == RECORDS_AT_A_TIME

    def flush(self) -> None:
        self._file.flush()

    def finish(self) -> None:
        try:
            self._file.finish()
        except OutputLost as error:
            raise JobFailed(str(error)) from error

    def close(self) -> None:
        self._file.close()


class _Dates(Block):
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


def _layout(names: list[str], columns: list[str]) -> list[int | None]:
    """For each of the export's columns, where among a job's own `names` it stands."""
    places = {name: index for index, name in enumerate(names)}
    return [places.get(name) for name in columns]


def _arranged(fields: list[str], layout: list[int | None]) -> list[str]:
    return ["" if index is None else fields[index] for index in layout]
