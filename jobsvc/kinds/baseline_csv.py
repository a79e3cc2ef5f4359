"""`baselineCSV`: every row of a CSV becomes a record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import count, repeat
from typing import TypeAlias

import orjson
from pydantic import Field
from sqlalchemy import delete, func, select

from jobsvc.kinds.contract import BadParameter, Block, Effects, JobContext, JobFailed, Kind, Readable, Refused, Work
from jobsvc.kinds.csv_params import CsvParams, header_of, settled_delimiter
from jobsvc.kinds.csv_text import shortened
from jobsvc.kinds.csv_work import CsvWork
from jobsvc.store.tables import records

DATES_REMEMBERED = 10_000
"""How many dates that were found right a run remembers: files have few different ones, but need not."""

DATE_LENGTH = 10
"""An ISO date, YYYY-MM-DD, is this many characters long."""

Record: TypeAlias = tuple[int, int, str, str]
"""job key, row, date, and the fields as a JSON array."""


class BaselineParams(CsvParams):
    date_column: str | None = Field(
        None, description="the column that a record's date is taken from; by default a column called date, else today"
    )


class BaselineCSV(Kind):
    name = "baselineCSV"
    Params = BaselineParams

    def open(self, context: JobContext) -> Work:
        return _Records(context)

    def prepare(self, params: BaselineParams, upload: Readable | None) -> BaselineParams:
        assert upload is not None
        params = params.model_copy(update={"delimiter": settled_delimiter(params, upload)})
        columns = header_of(params, upload)
        if params.date_column is not None and columns is not None and params.date_column not in columns:
            raise BadParameter(
                "date_column",
                f"there is no column {shortened(params.date_column)!r}; {_names(columns)}",
            )
        return params

    def undo(self, effects: Effects, limit: int) -> int:
        mine = records.c.job_key == effects.job_key
        lowest = select(records.c.row).where(mine).order_by(records.c.row.desc()).limit(limit).subquery()
        first = select(func.min(lowest.c.row)).scalar_subquery()
        return effects.execute(delete(records).where(mine, records.c.row >= first)).rowcount


class _Records(CsvWork):
    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._key = context.key
        self._batch_items = context.batch_items
        self._delimiter: str = context.params.delimiter
        self._dry_run: bool = context.params.dry_run
        self._default_date = context.created_at.date().isoformat()
        try:
            self._date_index = _date_index(self.source.columns, context.params.date_column)
        except JobFailed:
            self.close()
            raise
        self._dates: set[str] = set()
        """Dates that were checked already: a file has few different ones."""

    def blocks(self) -> Iterator[Block]:
        return self.source.blocks(self._record, self._plain_records, rows=self._batch_items)

    def apply(self, effects: Effects, items: Sequence[Record]) -> Sequence[tuple[int, str]]:
        if self._dry_run:
            return ()
        effects.insert(records, ("job_key", "row", "date", "data"), items)
        return ()

    def _record(self, row: int, fields: list[str]) -> Record:
        if self._date_index is None:
            day = self._default_date
        else:
            day = fields[self._date_index][:DATE_LENGTH]
            if not self._is_date(day):
                name = self.source.columns[self._date_index]
                raise Refused(
                    f"{shortened(name)} is {shortened(fields[self._date_index], 40)!r}, "
                    "which doesn't begin with a date YYYY-MM-DD"
                )
        return self._key, row, day, orjson.dumps(fields).decode()

    def _plain_records(self, first_row: int, lines: list[str]) -> list[Record] | None:
        """The records of lines in which nothing is quoted or needs escaping: their JSON is text replacement."""
        days: Iterator[str] | list[str]
        if self._date_index is None:
            days = repeat(self._default_date)
        else:
            days = [day[:DATE_LENGTH] for day in self._column(lines, self._date_index)]
            if not all(map(self._is_date, set(days) - self._dates)):
                return None
        separated = "\n".join(lines).replace(self._delimiter, '","')
        data = ('["' + separated.replace("\n", '"]\n["') + '"]').split("\n")
        return list(zip(repeat(self._key), count(first_row), days, data))

    def _column(self, lines: list[str], index: int) -> list[str]:
        delimiter = self._delimiter
        if index == len(self.source.columns) - 1:
            return [line.rsplit(delimiter, 1)[-1] for line in lines]
        return [line.split(delimiter, index + 1)[index] for line in lines]

    def _is_date(self, text: str) -> bool:
        if text in self._dates:
            return True
        try:
            # fromisoformat also reads other ISO forms, such as 2013-W01-1.
            if date.fromisoformat(text).isoformat() != text:
                return False
        except ValueError:
            return False
        if len(self._dates) >= DATES_REMEMBERED:
            self._dates.clear()
        self._dates.add(text)
        return True


def _date_index(columns: list[str], wanted: str | None) -> int | None:
    if wanted is None:
        return columns.index("date") if "date" in columns else None
    if wanted not in columns:
        raise JobFailed(f"there is no column {shortened(wanted)!r} to take the date from; {_names(columns)}")
    return columns.index(wanted)


def _names(columns: list[str]) -> str:
    return f"the header has {shortened(', '.join(columns), 500)}"
