"""The columns of an export, and where in them the fields of each job's records stand."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

import orjson
from sqlalchemy import Connection, select

from jobsvc.kinds.builtin.plain_records import PlainRecords
from jobsvc.kinds.contract import ItemAbandoned, JobFailed, StopSign
from jobsvc.store.queries.record_fields import Header, OddRecord, fields, headers, shown
from jobsvc.store.queries.record_places import beginning, next_step
from jobsvc.store.tables import jobs

MAX_COLUMNS = 100_000
"""How many columns the records of several jobs may have together: they stand in memory, and in every row."""

MAX_PLAIN_COLUMNS = 1000
"""Beyond it a record is large, and a pattern of it not worth its memory."""

MAX_PLACES = 500_000
MAX_HEADERS = 2000
"""How many fields, and headers of jobs, are remembered."""

Read = Callable[[], AbstractContextManager[Connection]]


def columns_of_one(read: Read, job_id: str) -> list[str]:
    with read() as connection:
        key = connection.execute(select(jobs.c.key).where(jobs.c.id == job_id)).scalar_one_or_none()
        return [] if key is None else headers(connection, [key])[key].columns


def columns_of_all(
    read: Read, first: date, last: date, below: int, stopped: StopSign, owner: str | None = None
) -> list[str]:
    """The columns of all jobs with records of these dates and keys less than `below`, by when they first appear.

    With an `owner`, of this user's jobs.

    Raises ItemAbandoned if the run is asked to stop, and JobFailed if they are too many.
    """
    keys: set[int] = set()
    step = beginning(first.isoformat())
    while step.place is not None:
        _look(stopped)
        with read() as connection:
            step = next_step(connection, step, last=last.isoformat(), below=below)
        keys |= step.keys
    if owner is not None:
        with read() as connection:
            keys &= set(connection.execute(select(jobs.c.key).where(jobs.c.user == owner)).scalars())
    names: dict[str, None] = {}
    left = sorted(keys)
    while left:
        _look(stopped)
        with read() as connection:
            some = headers(connection, left)
        left = left[len(some) :]
        for header in some.values():
            alone = not names
            names.update(dict.fromkeys(header.columns))
            if len(names) > MAX_COLUMNS and not (alone and len(keys) == 1):
                raise JobFailed(
                    f"the jobs with records of these dates have more than {MAX_COLUMNS} columns together; "
                    "export fewer dates, or one job at a time with `job`"
                )
    return list(names)


def _look(stopped: StopSign) -> None:
    if stopped.is_set():
        raise ItemAbandoned


class _Layout:
    """How the fields of a job's records are laid out in an export's columns."""

    __slots__ = ("header", "places", "plain", "straight")

    def __init__(self, header: Header, places: dict[str, int]) -> None:
        self.header = header
        self.places = array("I", [places[name] for name in header.columns])
        self.straight = list(self.places) == list(range(len(places)))
        """Whether they are all the columns, in order."""
        self.plain: PlainRecords | None = None
        """Set where the export's first columns are these, in order."""


class Layouts:
    """Arranges records in the columns of an export, reading the headers of jobs as they come up."""

    def __init__(
        self, read: Read, columns: Sequence[str], *, job_id: str | None, below: int, for_spreadsheet: bool
    ) -> None:
        self._read = read
        self._for_spreadsheet = for_spreadsheet
        self._width = len(columns)
        self._columns = {name: index for index, name in enumerate(columns)}
        self._job_id = job_id
        self._below = below
        self._known: dict[int, _Layout | None] = {}
        """By the job's key; None for one that does not belong in the export."""
        self._places = 0

    def load(self, keys: Iterable[int]) -> None:
        """Be ready for records of the first of these jobs, which ascend, and perhaps for more of them."""
        wanted = list(dict.fromkeys(keys))
        if not wanted or wanted[0] in self._known:
            return
        if len(self._known) > MAX_HEADERS or self._places > MAX_PLACES:
            self._known.clear()
            self._places = 0
        with self._read() as connection:
            found = headers(connection, wanted)
            spaced = connection.dialect.name == "postgresql"
        for key, header in found.items():
            layout = self._layout(header, spaced) if self._belongs(key, header) else None
            self._known[key] = layout
            self._places += 0 if layout is None else len(layout.places)

    def _layout(self, header: Header, spaced: bool) -> _Layout:
        layout = _Layout(header, self._columns)
        width = len(header.columns)
        if header.job_id is not None and 0 < width <= MAX_PLAIN_COLUMNS and list(layout.places) == list(range(width)):
            wider, careful = self._width - width, self._for_spreadsheet
            layout.plain = PlainRecords(header.job_id, width, wider, spaced=spaced, for_spreadsheet=careful)
        return layout

    def _belongs(self, key: int, header: Header) -> bool:
        if self._job_id is not None:
            return header.job_id == self._job_id
        return key < self._below and all(name in self._columns for name in header.columns)

    def plain(self, key: int) -> PlainRecords | None:
        """What makes lines of a job's plain records, if there can be any. It was loaded."""
        layout = self._known[key]
        return None if layout is None else layout.plain

    def row(self, key: int, row: int, day: str, data: Any) -> list[Any] | None:
        """A record as a row of the export; None if it does not belong there. Its job was loaded."""
        layout = self._known[key]
        if layout is None:
            return None
        header = layout.header
        try:
            found = _texts(fields(header, data))
        except OddRecord as odd:
            cells = [""] * max(1, self._width)
            cells[0] = f"{odd}: {shown(data)}"
            return [header.job_id or "", row, day, *cells]
        if layout.straight:
            return [header.job_id, row, day, *found]
        cells = [""] * self._width
        for place, text in zip(layout.places, found, strict=True):
            cells[place] = text
        return [header.job_id, row, day, *cells]

    def knows(self, key: int) -> bool:
        return key in self._known


def _texts(found: list[Any]) -> list[str]:
    """Fields as they stand in a CSV. The built-in kinds make nothing but texts; other values are written as JSON."""
    try:
        "".join(found)
    except TypeError:
        pass
    else:
        return found
    return [
        "" if field is None else field if isinstance(field, str) else orjson.dumps(field).decode() for field in found
    ]
