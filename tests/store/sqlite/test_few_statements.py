"""What SQLite itself is told: each statement may have to wait for the interpreter, so that none is to spare."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, insert, select

from jobsvc.deadlines import REQUEST_SECONDS, time_limit
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.sqlite import backend
from jobsvc.store.tables import turns


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Database, list[str]]]:
    """A database, and all that its connections execute, but for what prepares them."""
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        turns.create(connection)
    statements: list[str] = []

    def trace(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_trace_callback(statements.append)

    database.backend.engine.dispose()
    event.listen(database.backend.engine, "connect", trace)
    with database.read():
        pass
    statements.clear()
    yield database, statements
    database.close()


def test_a_look_is_one_statement(told: tuple[Database, list[str]]) -> None:
    database, statements = told
    with database.look() as connection:
        assert connection.execute(select(turns.c.reached)).all() == []
    assert [statement.split()[0] for statement in statements] == ["SELECT"]
    with database.read() as connection:
        connection.execute(select(turns.c.reached)).all()
    assert [statement.split()[0] for statement in statements[1:]] == ["BEGIN", "SELECT", "COMMIT"]


def test_a_look_sees_what_is_committed_and_holds_nothing(told: tuple[Database, list[str]]) -> None:
    database, _ = told
    with database.look() as connection:
        connection.execute(select(turns)).all()
        with database.write() as other:
            other.execute(insert(turns).values(priority=0, reached=1))
        assert connection.execute(select(turns.c.reached)).scalars().all() == [1]


def test_a_look_waits_at_the_gate_as_every_reader_does(told: tuple[Database, list[str]]) -> None:
    """Whoever cuts the log has the database without readers."""
    database, _ = told
    assert isinstance(database.backend, backend.Sqlite)
    with database.backend._gate.shut(0), time_limit(0), pytest.raises(DatabaseBusy), database.look():
        pass


def test_requests_and_runs_do_not_tell_each_other_how_long_to_wait(told: tuple[Database, list[str]]) -> None:
    database, statements = told
    for _ in range(3):
        with time_limit(REQUEST_SECONDS), database.write() as connection:
            connection.execute(select(turns)).all()
        with database.write() as connection:
            connection.execute(select(turns)).all()
    assert not [statement for statement in statements if "busy_timeout" in statement]


@pytest.mark.parametrize(("left", "waits"), [(0.04, 0.04), (0.24, 0.24), (0.3, 0.25), (4.99, 4.75), (30.2, 30.0)])
def test_a_lock_is_waited_for_until_the_deadline_and_not_beyond(left: float, waits: float) -> None:
    with time_limit(left):
        assert waits - 0.05 < backend._lock_seconds() <= left
        assert backend._lock_seconds() == pytest.approx(waits, abs=0.02)
