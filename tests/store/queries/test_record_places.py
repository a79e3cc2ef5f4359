"""Finding which jobs have records in a range of dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import prepare
from jobsvc.store.queries import record_places
from jobsvc.store.queries.record_places import beginning, next_step
from jobsvc.store.tables import records

pytestmark = pytest.mark.both_databases

BELOW = 20
DAYS = [(date(2026, 1, 1) + timedelta(number)).isoformat() for number in range(12)]

Has = dict[str, dict[int, int]]
"""How many records of a date a job has, by date and job."""

SHAPES: dict[str, Has] = {
    "none": {},
    "one": {DAYS[0]: {1: 1}},
    "few jobs with many records": {day: {1: 8, 3: 8} for day in DAYS},
    "many jobs with one record each": {day: dict.fromkeys(range(1, BELOW), 1) for day in DAYS},
    "others' and later ones": {DAYS[0]: {1: 30, BELOW: 30}, DAYS[5]: {BELOW + 1: 3, 2: 30}, DAYS[11]: {7: 1}},
    "dense, then sparse": {DAYS[0]: dict.fromkeys(range(1, 9), 2), DAYS[3]: {9: 40}, DAYS[4]: {10: 1, 11: 40}},
    "what is no date": {DAYS[1]: {1: 20}, "2026-01-x": {2: 20}, DAYS[5]: {3: 20}},
}


@pytest.fixture
def database(tmp_path: Path, database_url: str) -> Iterator[Database]:
    database = Database(Settings(data_dir=tmp_path, database_url=database_url).url)
    prepare(database)
    yield database
    database.close()


def found(connection: Connection, first: str, last: str) -> tuple[set[int], int, int]:
    """The keys, and how many steps and leaps it took."""
    step = beginning(first)
    keys: set[int] = set()
    steps = leaps = 0
    while step.place is not None:
        steps, leaps = steps + 1, leaps + step.leap
        step = next_step(connection, step, last=last, below=BELOW)
        keys |= step.keys
    return keys, steps, leaps


@pytest.mark.parametrize(
    ("entries", "worth", "leap"), [(10_000, 100, 200), (3, 100, 2), (7, 1, 1), (30, 2, 3), (50, 10, 200)]
)
def test_all_jobs_with_records_in_the_range_are_found_however_long_the_steps_are(
    database: Database, monkeypatch: pytest.MonkeyPatch, entries: int, worth: int, leap: int
) -> None:
    monkeypatch.setattr(record_places, "ENTRIES_AT_A_TIME", entries)
    monkeypatch.setattr(record_places, "ENTRIES_WORTH_A_LEAP", worth)
    monkeypatch.setattr(record_places, "LEAPS_AT_A_TIME", leap)
    for name, shape in SHAPES.items():
        filled(database, shape)
        with database.read() as connection:
            for first, last in [(DAYS[0], DAYS[-1]), (DAYS[1], DAYS[5]), (DAYS[4], DAYS[4]), ("1999-01-01", DAYS[0])]:
                expected = {
                    key for day, counts in shape.items() if first <= day <= last for key in counts if key < BELOW
                }
                assert found(connection, first, last)[0] == expected, (name, first, last)


def test_many_records_of_a_job_and_date_are_leapt_over(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_places, "ENTRIES_AT_A_TIME", 400)
    filled(database, {day: {1: 2000, 2: 2000} for day in DAYS})
    with database.read() as connection:
        keys, steps, leaps = found(connection, DAYS[0], DAYS[-1])
    assert (keys, steps, leaps) == ({1, 2}, 2, 1)


def filled(database: Database, shape: Has) -> None:
    with database.write() as connection:
        connection.execute(records.delete())
        made = [
            {"job_key": key, "row": 10_000 * number + row, "date": day, "data": "[]"}
            for number, (day, counts) in enumerate(shape.items())
            for key, count in counts.items()
            for row in range(count)
        ]
        if made:
            connection.execute(insert(records), made)
