"""The first of what a job has made, as a table with the columns of its file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from jobsvc.jobs.job import Job
from jobsvc.service.callers.authorized import Authorized

MOST_ROWS = 20

MOST_COLUMNS = 40

CELL_CHARACTERS = 300


class Made(NamedTuple):
    what: str
    """`records` or `teams`: also the name of the route that has all of them."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Cells, as many as there are columns; the first one is the row's number in the file."""
    more_columns: int
    """How many are left out."""


def made(job: Job, authorized: Authorized) -> Made | None:
    """None if there is nothing."""
    if not job.done:
        return None
    return _records(job, authorized) or _teams(job, authorized)


def _records(job: Job, authorized: Authorized) -> Made | None:
    found = [orjson.loads(text) for text in authorized.records(limit=MOST_ROWS, after=None, job_id=job.id).records]
    if not found:
        return None
    columns = list(dict.fromkeys(name for record in found for name in record["data"] or {}))
    shown = columns[:MOST_COLUMNS]
    rows = [[str(record["row"]), record["date"] or "", *_fields(record, shown)] for record in found]
    return Made("records", ["row", "record date", *shown], rows, len(columns) - len(shown))


def _fields(record: dict[str, Any], columns: Sequence[str]) -> list[str]:
    data = record["data"]
    if data is None:
        # Somebody else has spoilt it: what the database has is shown in the first column.
        return [_cell(record.get("raw", "")), *[""] * (len(columns) - 1)] if columns else []
    return [_cell(data.get(name, "")) for name in columns]


def _teams(job: Job, authorized: Authorized) -> Made | None:
    found = authorized.teams(limit=MOST_ROWS, after=None, job_id=job.id).teams
    if not found:
        return None
    rows = [[str(team["row"]), _cell(team["name"]), _cell(", ".join(team["members"]))] for team in found]
    return Made("teams", ["row", "team", "members"], rows, 0)


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= CELL_CHARACTERS else f"{text[: CELL_CHARACTERS - 1]}…"
