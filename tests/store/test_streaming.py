"""Rows that are read one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, literal, select, union_all
from sqlalchemy.exc import DBAPIError

from jobsvc.store.database import Database
from jobsvc.store.streaming import streamed_fast


def test_an_error_at_a_later_row_is_one_that_is_translated(tmp_path: Path) -> None:
    """Only what SQLAlchemy raises can become `DatabaseDown`."""
    texts = union_all(
        select(literal("1").label("text")), select(literal("2").label("text")), select(literal("{").label("text"))
    ).subquery()
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    read: list[object] = []

    def read_all() -> None:
        with database.read() as connection, streamed_fast(connection, select(func.json(texts.c.text))) as rows:
            read.extend(iter(rows))

    with pytest.raises(DBAPIError, match="malformed JSON"):
        read_all()
    assert read == [("1",)]
    database.close()


def test_what_goes_wrong_with_a_row_outside_of_the_database_stays_what_it_is(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with pytest.raises(LookupError), database.read() as connection, streamed_fast(connection, select(1)):
        raise LookupError
    database.close()
