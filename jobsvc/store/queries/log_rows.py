"""Queries on `job_log`: the log of each job, its newest lines.

The lines of a job are numbered from 1 on, those that were dropped among them: so a gap in
the numbers tells how many there were.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, String, bindparam, cast, delete, func, insert, literal, select

from jobsvc.identifiers import JobKey
from jobsvc.store.tables import job_log, jobs

MAX_LINES = 1000
"""So many lines of a job are kept, the newest."""

MAX_CHARACTERS = 1000
"""So much is kept of a line."""

# Built once: a checkpoint may execute them.
_LAST = select(func.max(job_log.c.line)).where(job_log.c.job_key == bindparam("wanted_key"))
_DROP = delete(job_log).where(job_log.c.job_key == bindparam("wanted_key"), job_log.c.line <= bindparam("up_to"))
_INSERT = insert(job_log)


class Line(NamedTuple):
    """A line that is to be written."""

    at: datetime
    level: str
    text: str
    item: int | None = None
    by_kind: bool = False


def storable(text: object) -> str:
    """What is kept of a text: so much that it fits, and without what no database takes."""
    whole = str(text)
    kept = whole[:MAX_CHARACTERS]
    if len(whole) > MAX_CHARACTERS:
        kept = f"{kept}… ({len(whole) - MAX_CHARACTERS} characters left out)"
    return kept if kept.isascii() else kept.encode("utf-8", "backslashreplace").decode()


def append(connection: Connection, key: JobKey, attempt: int, lines: Sequence[Line], *, dropped: int = 0) -> int:
    """Add lines to a job's log, before which `dropped` others were said and not kept; the oldest make way for them.

    The job's row is locked: another writer would give the same numbers. Returns the number of the last line.
    """
    last: int = connection.execute(_LAST, {"wanted_key": key}).scalar_one() or 0
    first = last + dropped + 1
    rows = [
        {"job_key": key, "attempt": attempt, "line": number, **line._asdict()}
        for number, line in enumerate(lines, first)
    ]
    connection.execute(_INSERT, rows)
    last = first + len(rows) - 1
    if last > MAX_LINES:
        connection.execute(_DROP, {"wanted_key": key, "up_to": last - MAX_LINES})
    return last


def append_to_all(connection: Connection, keys: Collection[JobKey], at: datetime, level: str, text: str) -> None:
    """Add a line to the logs of many jobs, which are locked: the same text, followed by what each has done.

    In each the oldest line makes way for it, as in `append`.
    """
    line = select(func.max(job_log.c.line)).where(job_log.c.job_key == jobs.c.key).scalar_subquery()
    counts = cast(jobs.c.done, String) + " done, " + cast(jobs.c.failed, String) + " refused"
    values = {
        "job_key": jobs.c.key,
        "line": func.coalesce(line, 0) + 1,
        "at": literal(at, job_log.c.at.type),
        "attempt": jobs.c.attempt,
        "level": literal(level),
        "text": literal(f"{storable(text)}; ") + counts,
        "by_kind": literal(False),
    }
    of_these = jobs.c.key.in_(keys)
    connection.execute(_INSERT.from_select(list(values), select(*values.values()).where(of_these)))
    full = [
        {"wanted_key": key, "up_to": last - MAX_LINES}
        for key, last in connection.execute(select(jobs.c.key, line).where(of_these, line > MAX_LINES))
    ]
    if full:
        connection.execute(_DROP, full)


def is_by_kind(connection: Connection, key: JobKey, line: int, attempt: int) -> bool:
    """Whether the line with that number is there, and the kind has said it in that attempt."""
    query = select(job_log.c.by_kind).where(
        job_log.c.job_key == key, job_log.c.line == line, job_log.c.attempt == attempt
    )
    return bool(connection.execute(query).scalar_one_or_none())


def last_line(connection: Connection, key: JobKey) -> int:
    """The number of the newest line of a job's log; 0 if there is none."""
    return int(connection.execute(_LAST, {"wanted_key": key}).scalar_one() or 0)


def of_job(connection: Connection, key: JobKey, after: int, limit: int) -> Sequence[RowMapping]:
    """The lines of a job's log after the line numbered `after`, in order."""
    query = select(job_log).where(job_log.c.job_key == key, job_log.c.line > after).order_by(job_log.c.line)
    return connection.execute(query.limit(limit)).mappings().all()
