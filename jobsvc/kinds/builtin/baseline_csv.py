"""`baselineCSV`: every row of a CSV becomes a record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import AfterValidator, Field
from sqlalchemy import delete, func, select

from jobsvc.kinds.contract import (
    BadParameter,
    Batch,
    Effects,
    JobContext,
    JobFailed,
    Kind,
    Prepared,
    Readable,
    Refused,
    RefusedLate,
    Work,
)
from jobsvc.kinds.csv.dates import COMMON, Dates, check_date_format
from jobsvc.kinds.csv.params import CsvParams
from jobsvc.kinds.csv.simple_lines import SimpleLines
from jobsvc.kinds.csv.text import shortened
from jobsvc.kinds.csv.upload_check import settled
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.kinds.preview.dates import better_formats, columns_of_dates
from jobsvc.store.inserts.columns import Columns, Same
from jobsvc.store.tables import records

Record: TypeAlias = tuple[int, int, str, str]
"""job key, row, date, and the fields as a JSON array."""

DATE = "date"
"""The column that the date is taken from where nobody names one."""


class BaselineParams(CsvParams):
    may_be_empty = frozenset({"date_column"})
    reading = CsvParams.reading | {"date_column", "date_format"}

    date_column: str | None = Field(
        None,
        description="the column that a record's date is taken from; empty: none, all records get the day of upload; "
        "by default a column called date, if there is one",
    )
    date_format: Annotated[str, AfterValidator(check_date_format)] | None = Field(
        None,
        description="how dates are written, such as %d/%m/%Y; by default they begin with YYYY-MM-DD",
        examples=list(COMMON),
    )


class BaselineCSV(Kind):
    """Every row of a CSV becomes a record."""

    name = "baselineCSV"
    Params = BaselineParams

    def open(self, context: JobContext) -> Work:
        return _Records(context)

    def prepare(self, params: BaselineParams, upload: Readable | None) -> Prepared:
        assert upload is not None
        found = settled(params, upload)
        try:
            index = _date_index(found.columns, params.date_column)
        except LookupError as error:
            raise BadParameter("date_column", str(error)) from None
        if params.date_format is not None and index is None:
            raise BadParameter("date_format", "there is no column that a date is taken from: name it with date_column")
        return Prepared(found.params, found.warnings)

    def undo(self, effects: Effects, limit: int) -> int:
        mine = records.c.job_key == effects.job_key
        last_kept = select(records.c.row).where(mine).order_by(records.c.row.desc()).offset(limit).limit(1)
        after = func.coalesce(last_kept.scalar_subquery(), 0)
        return effects.execute(delete(records).where(mine, records.c.row > after)).rowcount


class _Records(CsvWork):
    reads_ahead = True

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._key = context.key
        self._batch_items, self._turn = context.batch_items, context.turn
        self._dry_run: bool = context.params.dry_run
        self._default_date = (context.uploaded_at or context.created_at).date().isoformat()
        try:
            self._date_index = _date_index(self.source.columns, context.params.date_column)
        except LookupError as error:
            self.close()
            raise JobFailed(str(error)) from None
        self._date_column: str | None = context.params.date_column
        self._date_format: str | None = context.params.date_format
        self._dates = Dates(self._date_format)

    def batches(self) -> Iterator[Batch]:
        return self.source.batches(self._record, self._simple_records, self._records, self._batch_items, self._turn)

    def apply(self, effects: Effects, items: Sequence[Record]) -> Sequence[RefusedLate]:
        if self._dry_run:
            return ()
        effects.insert(records, ("job_key", "row", "date", "data"), items)
        return ()

    def shown(self, item: Record) -> Mapping[str, Any]:
        _, _, day, data = item
        return {"date": day, "data": dict(zip(self.source.columns, orjson.loads(data), strict=True))}

    def told(self, rows: Sequence[Sequence[str]]) -> Mapping[str, Any]:
        """Where the dates come from, and the options with which there would be more of them."""
        index, columns, form = self._date_index, self.source.columns, self._date_format
        suggestions: list[dict[str, str]] = []
        if index is not None:
            suggestions = [{"date_format": other or ""} for other in better_formats([row[index] for row in rows], form)]
        elif self._date_column is None:
            for at, found in columns_of_dates(rows):
                suggestions.append({"date_column": columns[at]} | ({"date_format": found} if found else {}))
        return {
            "dates": {
                "column": None if index is None else columns[index],
                "format": None if index is None else form or "YYYY-MM-DD",
                "day_of_upload": self._default_date if index is None else None,
                "suggestions": suggestions,
            }
        }

    def _record(self, row: int, fields: list[str]) -> Record:
        day = self._default_date
        if self._date_index is not None:
            text = fields[self._date_index]
            found = self._dates.find(text)
            if found is None:
                name = self.source.columns[self._date_index]
                why = f"{shortened(name)} is {shortened(text, 40)!r}, which {self._dates.why_none(text)}"
                raise Refused(why, group=f"the field {self._dates.wrong}", column=name)
            day = found
        return self._key, row, day, orjson.dumps(fields).decode()

    def _records(self, first_row: int, rows: list[list[str]]) -> Columns | None:
        """The same from many rows at once; None if one of them has no date."""
        index = self._date_index
        days = None if index is None else self._dates.find_all([fields[index] for fields in rows])
        if index is not None and days is None:
            return None
        return self._columns(first_row, days, _json_of_each(rows))

    def _simple_records(self, first_row: int, lines: SimpleLines) -> Columns | None:
        """The same from lines that need no parser: their JSON is text replacement."""
        index = self._date_index
        days = None if index is None else self._dates.find_all(lines.column(index))
        if index is not None and days is None:
            return None
        return self._columns(first_row, days, lines.as_json())

    def _columns(self, first_row: int, days: list[str] | None, data: list[str]) -> Columns:
        """Consecutive records."""
        row_numbers = range(first_row, first_row + len(data))
        return Columns(Same(self._key), row_numbers, days or Same(self._default_date), data)


def _json_of_each(rows: list[list[str]]) -> list[str]:
    """The JSON of each row. One call for all of them is many times quicker than a call for each."""
    # JSON has no line ends but those that it is told to have.
    found = orjson.dumps(rows).decode()[1:-1].replace("],[", "]\n[").split("\n")
    # A field may have the very text that stands between rows.
    return found if len(found) == len(rows) else [orjson.dumps(fields).decode() for fields in rows]


def _date_index(columns: list[str], wanted: str | None) -> int | None:
    """Where the column of the dates is; None if there is none. Raises LookupError if the wanted one isn't there.

    Case and outer spaces make no difference where no name is the same.
    """
    if wanted == "":
        return None
    name = DATE if wanted is None else wanted
    if name in columns:
        return columns.index(name)
    alike = [at for at, column in enumerate(columns) if column.strip().casefold() == name.strip().casefold()]
    if alike:
        return alike[0]
    if wanted is None:
        return None
    header = shortened(", ".join(columns), 500)
    raise LookupError(f"there is no column {shortened(wanted)!r} to take the date from; the header has {header}")
