"""Comparing what is in the database with the file it came from, row by row."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path

DATE_COLUMN = "time_hour"


def assert_exactly_once(data_dir: Path, job_id: str, file: Path) -> None:
    """Every row of `file` is there as a record once, with its number, date and fields, and nothing else is."""
    with closing(sqlite3.connect(f"file:{data_dir / 'jobsvc.db'}?mode=ro", uri=True)) as connection:
        found = connection.execute(
            "SELECT row, date, data FROM records WHERE job_key = (SELECT key FROM jobs WHERE id = ?) ORDER BY row",
            (job_id,),
        )
        with file.open(newline="") as lines:
            rows = csv.reader(lines)
            header = next(rows)
            date_index = header.index(DATE_COLUMN)
            for number, fields in enumerate(rows, 1):
                record = found.fetchone()
                assert record is not None, f"row {number} is missing"
                assert record[0] == number
                assert record[1] == fields[date_index][:10], number
                assert json.loads(record[2]) == fields, number
        assert found.fetchone() is None
        state, done, failed, columns = connection.execute(
            "SELECT state, done, failed, columns FROM jobs WHERE id = ?", (job_id,)
        ).fetchone()
        assert (state, done, failed, json.loads(columns)) == ("succeeded", number, 0, header)


def expected_export(job_id: str, file: Path, first: str, last: str) -> bytes:
    """What the export of an imported `file` is to be, made from the file alone."""
    with file.open() as lines:
        header = next(lines)
        rows = [(line.rstrip("\n").rsplit(",", 1)[1][:10], number, line) for number, line in enumerate(lines, 1)]
    body = "".join(f"{job_id},{number},{day},{line}" for day, number, line in sorted(rows) if first <= day <= last)
    return f"job_id,row,date,{header}{body}".encode()
