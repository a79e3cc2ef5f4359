"""Connections whose session has ended while they were in the pool."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseDown
from jobsvc.store.postgresql import liveness
from tests.support.databases import postgresql


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql() as plain:
        yield plain


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(Settings(database_url=url).url)
    yield database
    database.close()


def session(database: Database) -> int:
    """The server's process for a transaction."""
    with database.read() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def end_sessions(url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_that_has_rested_is_replaced_if_its_session_has_ended(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "FRESH_SECONDS", 0.0)
    before = session(database)
    end_sessions(url)
    assert session(database) != before


def test_the_session_of_a_connection_that_was_just_in_use_is_lost_like_one_that_ends_later(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "FRESH_SECONDS", 3600.0)
    before = session(database)
    end_sessions(url)
    with pytest.raises(DatabaseDown):
        session(database)
    assert session(database) != before


def test_a_connection_that_was_just_in_use_costs_no_round_trip(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(database)
    asked: list[object] = []
    execute = psycopg.Connection.execute

    def noting(connection: psycopg.Connection, query: str, *more: object) -> object:
        asked.append(query)
        return execute(connection, query, *more)

    monkeypatch.setattr(psycopg.Connection, "execute", noting)
    session(database)
    assert asked == []
    monkeypatch.setattr(liveness, "FRESH_SECONDS", 0.0)
    session(database)
    assert asked == [""]
