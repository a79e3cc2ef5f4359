"""What is PostgreSQL's own: types, migrations, COPY, locks, errors."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, MetaData, Table, Text, insert, inspect, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError

from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.errors import Conflict, DatabaseDown, NotStorable, SchemaBehind
from jobsvc.store.inserts.bulk import bulk_insert
from jobsvc.store.migrate import is_current, prepare, upgrade
from jobsvc.store.queries import job_rows
from jobsvc.store.tables import jobs, metadata, records
from jobsvc.store.types import Jsonb
from tests.support import processes
from tests.support.databases import postgresql
from tests.support.waiting import TIMEOUT

NOW = datetime(2026, 1, 31, 10, tzinfo=UTC)


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql() as plain:
        yield Settings(database_url=plain).url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()


@pytest.fixture
def empty() -> Iterator[Database]:
    """Without any tables."""
    with postgresql(migrated=False) as plain:
        database = Database(Settings(database_url=plain).url)
        yield database
        database.close()


def add_job(database: Database, job_id: str = "one", **values: Any) -> int:
    with database.write() as connection:
        given = {"id": job_id, "kind": "k", "user": "u", "state": "queued", "params": {}}
        return job_rows.add(connection, given | {"created_at": NOW, "queued_at": NOW} | values)


def test_a_start_refuses_tables_of_another_version_and_names_the_way_out(empty: Database) -> None:
    with pytest.raises(SchemaBehind, match="python -m jobsvc db upgrade"):
        prepare(empty)
    with empty.read() as connection:
        assert inspect(connection).get_table_names() == []
    upgrade(empty)
    prepare(empty)
    assert is_current(empty)


def test_migrations_that_several_processes_apply_at_once_are_applied_once(empty: Database, tmp_path: Path) -> None:
    url = empty.backend.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    environ = {**os.environ, "DATABASE_URL": url, "JOBSVC_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "jobsvc", "db", "upgrade"]
    with (tmp_path / "log").open("wb") as log:
        upgrades = [processes.start(command, environ, log) for _ in range(3)]
    assert [upgrade.wait(TIMEOUT) for upgrade in upgrades] == [0, 0, 0]
    assert is_current(empty)


def test_migrations_and_tables_agree(database: Database) -> None:
    def differs(context: Any, inspected: Any, column: Any, found: Any, wanted: Any) -> bool | None:
        wanted = wanted.dialect_impl(context.dialect) if hasattr(wanted, "dialect_impl") else wanted
        return False if isinstance(found, JSONB) and isinstance(getattr(wanted, "impl", None), Jsonb) else None

    def is_ours(_: Any, name: str | None, kind: str, *__: Any) -> bool:
        return not (kind == "table" and (name or "").startswith("procrastinate_"))

    with database.read() as connection:
        opts = {"compare_type": differs, "include_object": is_ours}
        context = MigrationContext.configure(connection, opts=opts)
        assert compare_metadata(context, metadata) == []
        types = {
            (table, column["name"]): str(column["type"])
            for table in ("jobs", "records")
            for column in inspect(connection).get_columns(table)
        }
    for name in (("jobs", "params"), ("jobs", "cursor"), ("jobs", "columns"), ("records", "data")):
        assert types[name] == "JSONB"
    for name in (("records", "row"), ("records", "job_key"), ("jobs", "position"), ("jobs", "size")):
        assert types[name] == "BIGINT"


def test_copied_rows_arrive_whatever_is_in_them(database: Database) -> None:
    fields = [
        "tab\there",
        "line\nbreak\r",
        "back\\slash \\N \\.",
        'quote "',
        "é \N{PILE OF POO}",
        "",
        "\\N",
        "\x01\x7f",
    ]
    rows = [(1, row, "2026-01-31", json.dumps(fields)) for row in range(1, 3001)]
    with database.write() as connection:
        bulk_insert(connection, records, ("job_key", "row", "date", "data"), rows)
    with database.read() as connection:
        found = connection.execute(select(records).order_by(records.c.row)).all()
    assert len(found) == 3000
    assert all(json.loads(row.data) == fields for row in found)


def test_what_is_copied_goes_with_its_transaction(database: Database) -> None:
    def insert_and_break() -> None:
        with database.write() as connection:
            bulk_insert(connection, records, ("job_key", "row", "date", "data"), [(1, 1, "2026-01-31", "[]")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_break()
    with database.read() as connection:
        assert connection.execute(select(records)).all() == []


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([(1, 1, "2026-01-31", "[]"), (1, 1, "2026-01-31", "[]")], IntegrityError),
        ([(1, 1, "2026-01-31", "no JSON")], NotStorable),
        ([(1, 1, "2026\0", "[]")], NotStorable),
    ],
)
def test_a_copy_fails_as_an_insert_does(
    database: Database, rows: list[tuple[int, int, str, str]], error: type[Exception]
) -> None:
    def insert_all() -> None:
        with database.write() as connection:
            bulk_insert(connection, records, ("job_key", "row", "date", "data"), rows)

    with pytest.raises(error):
        insert_all()
    assert database.fault() is None


def test_json_comes_back_as_it_was_and_other_people_s_jsonb_is_left_to_the_driver(database: Database) -> None:
    value = {"b": [1, 2.5, None, True], "a": 'é "\\ \N{PILE OF POO}'}
    key = add_job(database, params=value, columns=["x", "y"])
    theirs = Table("theirs", MetaData(), Column("value", JSONB), Column("note", Text))
    with database.write() as connection:
        theirs.create(connection)
        connection.execute(insert(theirs).values(value=value))
        job = job_rows.by_key(connection, key)
        place = job_rows.place(connection, key)
        assert (job["params"], place["columns"], place["cursor"]) == (value, ["x", "y"], None)
        assert connection.execute(text("SELECT jsonb_typeof(params) FROM jobs")).scalar_one() == "object"
        assert connection.execute(text("SELECT cursor IS NULL FROM jobs")).scalar_one()
        assert connection.execute(select(theirs.c.value)).scalar_one() == value


def test_a_nul_in_a_text_from_outside_becomes_a_mark(database: Database) -> None:
    key = add_job(database, error="a\0b", filename="x\0.csv")
    with database.read() as connection:
        job = job_rows.by_key(connection, key)
    assert (job["error"], job["filename"]) == ("a\N{REPLACEMENT CHARACTER}b", "x\N{REPLACEMENT CHARACTER}.csv")


def test_record_objects_keeps_the_order_of_the_header(database: Database) -> None:
    key = add_job(database, columns=["z", "a b", "m"])
    with database.write() as connection:
        connection.execute(insert(records).values(job_key=key, row=1, date="2026-01-31", data='["1","2","3"]'))
        shown = connection.execute(text("SELECT job_id, row, date, data FROM record_objects")).one()
    assert tuple(shown[:3]) == ("one", 1, "2026-01-31")
    assert list(shown[3].items()) == [("z", "1"), ("a b", "2"), ("m", "3")]


def test_a_job_that_was_read_to_be_changed_waits_for_nobody_else_to_change_it(database: Database) -> None:
    key = add_job(database)
    second_has_read = Event()
    seen: list[str] = []

    def read_too() -> None:
        with database.write() as connection:
            seen.append(job_rows.by_id(connection, "one", lock=True)["state"])  # type: ignore[index]
            second_has_read.set()

    thread = Thread(target=read_too)
    with database.write() as connection:
        job_rows.by_id(connection, "one", lock=True)
        thread.start()
        assert not second_has_read.wait(0.3), "the row is locked"
        assert job_rows.change(connection, key, attempt=0, state="queued", values={"state": "paused"})
    thread.join(TIMEOUT)
    assert seen == ["paused"]


def test_a_read_sees_one_moment_and_writes_nothing(database: Database) -> None:
    with database.read() as connection:
        assert job_rows.count_in_state(connection, "queued") == 0
        add_job(database)
        assert job_rows.count_in_state(connection, "queued") == 0
    with pytest.raises(Exception, match="read-only"), database.read() as connection:
        connection.execute(text("DELETE FROM jobs"))


def test_a_deadlock_is_a_conflict(database: Database) -> None:
    keys = [add_job(database, job_id) for job_id in ("one", "two")]
    locked, conflicts = [Event(), Event()], []

    def lock(first: int, second: int) -> None:
        try:
            with database.write() as connection:
                job_rows.by_key(connection, keys[first], lock=True)
                locked[first].set()
                assert locked[second].wait(TIMEOUT)
                job_rows.by_key(connection, keys[second], lock=True)
        except Conflict as conflict:
            conflicts.append(conflict)

    threads = [Thread(target=lock, args=pair) for pair in ((0, 1), (1, 0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(conflicts) == 1


def test_a_connection_that_breaks_is_told_and_the_next_one_is_new(database: Database) -> None:
    def lose() -> None:
        with database.write() as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            kill(database, mine)
            bulk_insert(connection, records, ("job_key", "row", "date", "data"), [(1, 1, "2026-01-31", "[]")])

    with pytest.raises(DatabaseDown):
        lose()
    assert database.fault() is None


def kill(database: Database, pid: int) -> None:
    with database.write() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_server_that_is_not_there_is_down_and_its_password_is_not_told() -> None:
    database = Database("postgresql+psycopg://ann:sEcReT@127.0.0.1:1/db")
    fault = database.fault()
    assert fault is not None
    assert fault.startswith("the database does not answer")
    assert "sEcReT" not in fault
    with pytest.raises(DatabaseDown) as down, database.write():
        pass
    assert "sEcReT" not in str(down.value)


def test_jobs_are_counted_by_their_own_type(database: Database) -> None:
    key = add_job(database, position=2**40, size=2**41)
    with database.read() as connection:
        found = connection.execute(select(jobs.c.position, jobs.c.size).where(jobs.c.key == key)).one()
    assert tuple(found) == (2**40, 2**41)
