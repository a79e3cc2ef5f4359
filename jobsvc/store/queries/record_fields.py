"""What records hold, as far as it can be read: if somebody else spoilt a record, only that one is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, LargeBinary, cast, select, type_coerce
from sqlalchemy.types import NullType

from jobsvc.store.streaming import streamed
from jobsvc.store.tables import jobs, records
from jobsvc.store.types import JsonText

HEADERS_CHARACTERS = 1024 * 1024
"""About how much of the jobs' columns is read at once."""

HEADERS_AT_ONCE = 100


class OddRecord(Exception):
    """A record is not what its job's columns say; the text says in which way."""


@dataclass(frozen=True, slots=True)
class Header:
    """What every record of a job has in common. `job_id` is None if there is no such job."""

    job_id: str | None
    columns: list[str]
    problem: str = ""
    """Why there are no columns."""
    characters: int = 0
    """How long the columns are, as JSON."""


def data_of(connection: Connection) -> ColumnElement[Any]:
    """The data of a record in the form in which it is read fastest: as UTF-8 on SQLite, as text on PostgreSQL.

    SQLite has UTF-8, and gives it away as it is, whether it can be decoded or not.
    """
    if connection.dialect.name == "sqlite":
        return type_coerce(cast(records.c.data, LargeBinary), NullType)
    return records.c.data


def headers(connection: Connection, keys: Sequence[int]) -> dict[int, Header]:
    """The headers of the jobs `keys`, which ascend: from the first on, as many as are not too large together."""
    wanted = keys[:HEADERS_AT_ONCE]
    query = (
        select(jobs.c.key, jobs.c.id, type_coerce(jobs.c.columns, JsonText))
        .where(jobs.c.key.in_(wanted))
        .order_by(jobs.c.key)
    )
    found: dict[int, Header] = {}
    characters = 0
    last = wanted[-1]
    with streamed(connection, query) as rows:
        for key, job_id, text in rows:
            found[key] = _header(job_id, text)
            characters += found[key].characters
            if characters > HEADERS_CHARACTERS:
                last = key
                break
    gone = Header(None, [], "its job is not there")
    return {key: found.get(key, gone) for key in wanted if key <= last}


def _header(job_id: str, text: str | bytes | None) -> Header:
    if text is None:
        return Header(job_id, [])
    try:
        columns = orjson.loads(text)
    except ValueError:
        columns = None
    if columns is None or not _are_names(columns):
        return Header(job_id, [], "the columns of its job can't be read")
    return Header(job_id, columns, characters=len(text))


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def fields(header: Header, data: Any) -> list[Any]:
    """The fields of a record, one for each of its job's columns. Raises OddRecord."""
    if header.problem:
        raise OddRecord(header.problem)
    try:
        found = orjson.loads(data)
    except ValueError:
        raise OddRecord("its data is not valid JSON") from None
    if not isinstance(found, list):
        raise OddRecord("its data is no list of fields")
    if len(found) != len(header.columns):
        raise OddRecord(f"{len(found)} fields where its job has {len(header.columns)} columns")
    return found


def shown(value: Any) -> str:
    """What the database has, as text that can go anywhere."""
    data = value if isinstance(value, bytes) else str(value).encode(errors="surrogateescape")
    return data.decode(errors="replace")
