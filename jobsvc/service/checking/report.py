"""What a job has found in its file: how many rows would be done, or are, and why others were refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from sqlalchemy import Connection, RowMapping

from jobsvc.files.contract import Files
from jobsvc.jobs.job import Job
from jobsvc.kinds.csv.left_over import as_text
from jobsvc.runs.commonest import OTHER, SAMPLES, Tally
from jobsvc.store.database import Database
from jobsvc.store.errors import FilesDown
from jobsvc.store.queries import job_rows, refused_rows

MOST_ROWS = 100
"""So many refused rows can be asked for, beside the samples."""

ROW_CHARACTERS = 1000
"""How much is shown of a row."""

READ_BYTES = 8 * ROW_CHARACTERS
"""So much of a row is looked at for that."""

AHEAD_BYTES = 128 * 1024
"""How much is asked of a remote store at a time: rows may stand far apart."""

SECONDS = 2.0
"""For so long, rows are read in the file; the others are shown without their text."""

UNCOUNTED = "not told apart: refused before the service counted reasons"
"""Of what an earlier version has refused."""


@dataclass(frozen=True)
class Found:
    """What the database knows, at one moment."""

    job: Job
    tallies: Sequence[Tally]
    """The most frequent one first, those that stand for several sorts last."""
    rows: Mapping[int, RowMapping]
    """Of refused rows, those that are shown, by item and in order."""
    first: Sequence[int]
    """The items that were refused first, as many as were asked for."""


class Reports:
    """Reads what is committed; safe to share among threads."""

    def __init__(self, database: Database, files: Files) -> None:
        self._database = database
        self._files = files

    def of(self, job: Job, refused: int = 0) -> dict[str, Any]:
        """The report of a job, as JSON has it, with the first `refused` of its refused rows beside the samples."""
        found = self._found(job, refused)
        job = found.job
        texts = self._texts(job, found.rows.values())

        def shown(items: Collection[int]) -> list[dict[str, Any]]:
            rows = [found.rows[item] for item in items if item in found.rows]
            return [
                {"line": row["line"], "row": row["item"], "error": row["error"], "text": texts.get(row["item"])}
                for row in rows
            ]

        return {
            "job": job.id,
            "state": job.state,
            "complete": job.saw_everything,
            "done": job.done,
            "failed": job.failed,
            "blank": job.blank,
            "total": job.done + job.taken_back + job.failed,
            "reasons": [
                {**tally.sort._asdict(), "count": tally.count, "samples": shown(tally.samples)}
                for tally in found.tallies
            ],
            "refused": shown(found.first),
        }

    def _found(self, job: Job, refused: int) -> Found:
        with self._database.read() as connection:
            job = Job.from_row(job_rows.by_key(connection, job.key))
            told = [Tally.from_row(row) for row in refused_rows.counts(connection, job.key)]
            first = refused_rows.of_job(connection, job.key, 0, max(refused, SAMPLES))
            rest = _rest(job, told, first)
            shown = {item for tally in told for item in tally.samples}
            rows = {row["item"]: row for row in _wanted(connection, job, shown, [*first[:refused], *rest.rows])}
        told.sort(key=lambda tally: (tally.sort == OTHER, -tally.count))
        if rest.tally is not None:
            told.append(rest.tally)
        return Found(job, told, dict(sorted(rows.items())), [row["item"] for row in first[:refused]])

    def _texts(self, job: Job, rows: Collection[RowMapping]) -> dict[int, str]:
        """Rows as they were sent, by item, as far as there is a file and it can be read in time."""
        placed = [row for row in rows if row["offset"] is not None]
        if not placed or job.files_removed_at is not None:
            return {}
        found: dict[int, str] = {}
        until = monotonic() + SECONDS
        with suppress(FilesDown, OSError), self._files.open_input(job.input_id, ahead=AHEAD_BYTES) as file:
            for row in placed:
                if monotonic() > until:
                    break
                file.seek(row["offset"])
                data = file.read(min(row["length"] or 0, READ_BYTES))
                found[row["item"]] = as_text(job.params, data, ROW_CHARACTERS)
        return found


@dataclass(frozen=True)
class Rest:
    """Refused rows that nobody has counted by reasons."""

    tally: Tally | None
    rows: Sequence[RowMapping]


def _rest(job: Job, told: Sequence[Tally], first: Sequence[RowMapping]) -> Rest:
    count = job.failed - sum(tally.count for tally in told)
    if count <= 0:
        return Rest(None, ())
    # An earlier version has come first, if at all.
    rows = first[: min(count, SAMPLES)]
    return Rest(Tally(0, OTHER._replace(reason=UNCOUNTED), count, [row["item"] for row in rows]), rows)


def _wanted(
    connection: Connection, job: Job, items: Collection[int], known: Sequence[RowMapping]
) -> Sequence[RowMapping]:
    missing = set(items) - {row["item"] for row in known}
    return [*known, *(refused_rows.some(connection, job.key, missing) if missing else ())]
