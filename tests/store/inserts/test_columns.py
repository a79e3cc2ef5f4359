"""Rows that are held column by column are the rows that a list of tuples would be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, event, select

from jobsvc.store.database import Database
from jobsvc.store.inserts.bulk import STATEMENT_ROWS, bulk_insert
from jobsvc.store.inserts.columns import Columns, Same

metadata = MetaData()
NAMES = ("job", "row", "day", "text")
things = Table("things", metadata, *(Column(name, String if name in ("day", "text") else Integer) for name in NAMES))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    yield database
    database.close()


def texts(first: int, count: int) -> list[str]:
    return [f"text'{number}\"%?" for number in range(first, first + count)]


def some(first: int, count: int) -> Columns:
    return Columns(Same(7), range(first, first + count), [f"day {n % 3}" for n in range(count)], texts(first, count))


def as_tuples(first: int, count: int) -> list[tuple[int, int, str, str]]:
    return [(7, first + n, f"day {n % 3}", text) for n, text in enumerate(texts(first, count))]


def test_they_are_a_sequence_of_tuples() -> None:
    rows = some(5, 10)
    assert (len(rows), list(rows)) == (10, as_tuples(5, 10))
    assert rows[3] == rows[-7] == as_tuples(5, 10)[3]
    assert [list(rows[part]) for part in (slice(4), slice(4, 8), slice(8, 99))] == [
        as_tuples(5, 10)[part] for part in (slice(4), slice(4, 8), slice(8, 99))
    ]
    assert len(rows[:0]) == 0


def test_those_that_go_on_are_joined() -> None:
    assert list(some(5, 10) + Columns(Same(7), range(15, 17), ["x", "y"], ["a", "b"])) == [
        *as_tuples(5, 10),
        (7, 15, "x", "a"),
        (7, 16, "y", "b"),
    ]


@pytest.mark.parametrize(
    "more",
    [
        Columns(Same(8), range(15, 16), ["x"], ["a"]),
        Columns(Same(7), range(16, 17), ["x"], ["a"]),
        Columns(Same(7), range(15, 16), Same("x"), ["a"]),
    ],
    ids=["another value", "a gap", "another sort of column"],
)
def test_others_are_not_joined(more: Columns) -> None:
    with pytest.raises(ValueError, match="do not go on"):
        some(5, 10) + more


@pytest.mark.parametrize("count", [1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 2345])
def test_each_is_inserted_once_with_its_values_in_their_columns(database: Database, count: int) -> None:
    statements: set[str] = set()
    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", lambda *arguments: statements.add(arguments[2]))
        bulk_insert(connection, things, NAMES, some(3, count))
        bulk_insert(connection, things, NAMES, some(3, count)[count // 2 :])
    with database.read() as connection:
        found = connection.execute(select(*things.c)).all()
    assert [tuple(row) for row in found] == as_tuples(3, count) + as_tuples(3, count)[count // 2 :]
    assert len(statements) <= len(STATEMENT_ROWS)


def test_any_column_but_one_may_be_the_same_in_every_row(database: Database) -> None:
    with database.write() as connection:
        bulk_insert(connection, things, NAMES, Columns(["a", "b"], Same(1), Same(None), Same("it's")))
        bulk_insert(connection, things, NAMES, Columns(range(8, 10), range(-1, 1), ["a", "b"], Same("?")))
    with database.read() as connection:
        found = connection.execute(select(*things.c)).all()
    assert [tuple(row) for row in found] == [
        *(("a", 1, None, "it's"), ("b", 1, None, "it's")),
        *((8, -1, "a", "?"), (9, 0, "b", "?")),
    ]
