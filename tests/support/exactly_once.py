"""Comparing what is in the database with the file it came from, row by row."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import psycopg

DATE_COLUMN = "time_hour"


def assert_exactly_once(data_dir: Path, job_id: str, file: Path, url: str = "") -> None:
    """Every row of `file` is there as a record once, with its number, date and fields, and nothing else is.

    In the SQLite database in `data_dir`, or in the PostgreSQL database at `url`.
    """
    connection: Any = (
        psycopg.connect(url) if url else sqlite3.connect(f"file:{data_dir / 'jobsvc.db'}?mode=ro", uri=True)
    )
    with closing(connection):
        mark = "%s" if url else "?"
        found = connection.execute(
            "SELECT row, date, CAST(data AS TEXT) FROM records "
            f"WHERE job_key = (SELECT key FROM jobs WHERE id = {mark}) ORDER BY row",
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
                assert orjson.loads(record[2]) == fields, number
        assert found.fetchone() is None
        state, done, failed, columns = connection.execute(
            f"SELECT state, done, failed, CAST(columns AS TEXT) FROM jobs WHERE id = {mark}", (job_id,)
        ).fetchone()
        assert (state, done, failed, json.loads(columns)) == ("succeeded", number, 0, header)


def expected_export(job_id: str, file: Path, first: str, last: str) -> bytes:
    """What the export of an imported `file` is to be, made from the file alone."""
    with file.open() as lines:
        header = next(lines)
        rows = [(line.rstrip("\n").rsplit(",", 1)[1][:10], number, line) for number, line in enumerate(lines, 1)]
    body = "".join(f"{job_id},{number},{day},{line}" for day, number, line in sorted(rows) if first <= day <= last)
    return f"_job_id,_row,_date,{header}{body}".encode()
