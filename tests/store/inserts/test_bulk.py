from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, event, select
from sqlalchemy.exc import IntegrityError

from jobsvc.store.database import Database
from jobsvc.store.inserts.bulk import MAX_VARIABLES, STATEMENT_ROWS, bulk_insert

metadata = MetaData()
things = Table(
    "things", metadata, Column("id", Integer, primary_key=True), Column("order", String), Column("n", Integer)
)
WIDTH = 40
wide = Table("wide", metadata, *(Column(f"c{number}", Integer) for number in range(WIDTH)))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        metadata.create_all(connection)
    yield database
    database.close()


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 1001, 2345])
def test_every_row_is_inserted_once_with_its_values_in_their_columns(database: Database, count: int) -> None:
    rows = [(f"text'{number}\"%?", number) for number in range(1, count + 1)]
    with database.write() as connection:
        bulk_insert(connection, things, ("order", "n"), rows)
    with database.read() as connection:
        found = connection.execute(select(things.c.order, things.c.n).order_by(things.c.id)).all()
    assert [tuple(row) for row in found] == rows


def test_few_different_statements_are_made_whatever_the_number_of_rows(database: Database) -> None:
    statements: set[str] = set()
    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", lambda *arguments: statements.add(arguments[2]))
        for count in (1, 7, 123, 1456, 2999):
            bulk_insert(connection, things, ("n",), [(number,) for number in range(count)])
    assert 0 < len(statements) <= len(STATEMENT_ROWS)


def test_a_wide_table_keeps_within_the_limit_on_variables(database: Database) -> None:
    assert max(STATEMENT_ROWS) * WIDTH > MAX_VARIABLES
    most = 0

    def note(*arguments: object) -> None:
        nonlocal most
        most = max(most, len(arguments[3]))  # type: ignore[arg-type]

    with database.write() as connection:
        event.listen(connection, "before_cursor_execute", note)
        bulk_insert(connection, wide, [column.name for column in wide.columns], [tuple(range(WIDTH))] * 1234)
    assert 0 < most <= MAX_VARIABLES
    with database.read() as connection:
        assert len(connection.execute(select(wide.c.c0)).all()) == 1234


def test_nothing_is_inserted_when_one_row_can_not_be(database: Database) -> None:
    rows = [(number, "x") for number in range(1, 1500)] + [(1, "again")]

    def insert_all() -> None:
        with database.write() as connection:
            bulk_insert(connection, things, ("id", "order"), rows)

    with pytest.raises(IntegrityError):
        insert_all()
    with database.read() as connection:
        assert connection.execute(select(things)).all() == []
