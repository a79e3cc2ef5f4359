from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text

from jobsvc.store.database import Database, DatabaseClosed, shown
from tests.support.waiting import TIMEOUT


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        connection.execute(text("CREATE TABLE things (n INTEGER)"))
    return database


def write(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("INSERT INTO things VALUES (1)"))


def count(database: Database) -> int:
    with database.read() as connection:
        found: int = connection.execute(text("SELECT count(*) FROM things")).scalar_one()
        return found


def test_after_the_close_nothing_is_written_any_more(database: Database) -> None:
    write(database)
    for _ in range(2):
        database.close()
        with pytest.raises(DatabaseClosed):
            write(database)
        assert count(database) == 1
    database.close()


def test_who_waited_for_its_turn_when_the_database_was_closed_writes_nothing(database: Database) -> None:
    begun, raised = Event(), Event()

    def wait_and_write() -> None:
        begun.set()
        with pytest.raises(DatabaseClosed):
            write(database)
        raised.set()

    with database.write() as connection:
        connection.execute(text("INSERT INTO things VALUES (1)"))
        waiting = Thread(target=wait_and_write)
        waiting.start()
        assert begun.wait(TIMEOUT)
        database.close()
    waiting.join(TIMEOUT)
    assert raised.is_set()
    assert count(database) == 1, "a transaction that was under way at the close is committed"
    database.close()


@pytest.mark.parametrize("password", ["ann:hush@", "ann@", "?password=hush&sslpassword=hush&x=y"])
def test_no_password_of_its_url_is_shown(password: str) -> None:
    url = "postgresql:///jobs" + password if "?" in password else f"postgresql://{password}db.example/jobs"
    assert "hush" not in shown(url)
    assert "jobs" in shown(url)
