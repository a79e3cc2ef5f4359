"""What the migrations make is what `tables.py` says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, text

from jobsvc.store.database import Database
from jobsvc.store.migrate import MIGRATIONS, is_current, newest, upgrade
from jobsvc.store.queries.listing.searched import searched
from jobsvc.store.tables import jobs, metadata, records


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'migrated.db'}")
    upgrade(database)
    yield database
    database.close()


def test_migrations_and_tables_agree(migrated: Database) -> None:
    with migrated.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def definitions(connection: Connection) -> dict[str, set[str]]:
    """What each table and index is made of, as SQLite keeps it, whatever the order and spacing."""
    rows = connection.execute(
        text("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL")
    )
    return {
        name: {" ".join(line.split()) for line in re.split(r",(?![^(]*\))|\n", sql) if line.strip()}
        for name, sql in rows
        if name not in ("alembic_version", "sqlite_sequence")
    }


def test_migrations_and_tables_agree_also_in_what_only_sqlite_knows(migrated: Database, tmp_path: Path) -> None:
    direct = Database(f"sqlite:///{tmp_path / 'direct.db'}")
    with direct.write() as connection:
        metadata.create_all(connection)
        expected = definitions(connection)
    direct.close()
    with migrated.read() as connection:
        assert definitions(connection) == expected


def test_applying_the_migrations_again_changes_nothing(migrated: Database) -> None:
    with migrated.read() as connection:
        before = connection.execute(text("SELECT sql FROM sqlite_master")).all()
    upgrade(migrated)
    with migrated.read() as connection:
        assert connection.execute(text("SELECT sql FROM sqlite_master")).all() == before


def test_the_database_says_that_it_is_at_the_latest_migration(migrated: Database) -> None:
    (head,) = ScriptDirectory(str(MIGRATIONS)).get_heads()
    assert newest() == head
    with migrated.read() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [head]
    assert is_current(migrated)


@pytest.mark.parametrize("number", ["", "0001", "0018", "9999"])
def test_a_database_that_is_not_at_the_latest_migration_is_not_current(tmp_path: Path, number: str) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    if number:
        upgrade(database, "0001")
        with database.write() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})
    assert not is_current(database)
    database.close()


def test_migrations_follow_each_other_in_the_order_of_their_numbers() -> None:
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())[::-1]
    assert [script.revision for script in scripts] == [f"{number:04}" for number in range(1, len(scripts) + 1)]
    assert [script.down_revision for script in scripts[1:]] == [script.revision for script in scripts[:-1]]


def test_jobs_that_there_were_before_are_found_by_their_files_name(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    upgrade(database, "0013")
    old = (
        'INSERT INTO jobs (id, kind, "user", state, attempt, params, created_at, queued_at, done, failed, position,'
        " size, rolled_back, filename)"
        " VALUES (:id, 'baselineCSV', 'ann', 'paused', 0, '{}', '', '', 0, 0, 0, 0, 0, :name)"
    )
    with database.write() as connection:
        connection.execute(text(old), [{"id": "Ann-1", "name": "ÜBER.csv"}, {"id": "Ann-2", "name": None}])
    upgrade(database)
    with database.read() as connection:
        found = connection.execute(text("SELECT searched FROM jobs ORDER BY key")).scalars().all()
    database.close()
    assert found == [searched("Ann-1", "ÜBER.csv"), searched("Ann-2", None)] == ["ann-1\nüber.csv", "ann-2"]


def add_job(connection: Connection, job_id: str, columns: list[str]) -> int:
    now = datetime(2026, 1, 31, 10, tzinfo=UTC)
    values = {"id": job_id, "kind": "baselineCSV", "user": "ann", "state": "succeeded", "params": {}}
    key = connection.execute(
        insert(jobs).values(**values, columns=columns, created_at=now, queued_at=now)
    ).inserted_primary_key
    assert key is not None
    return int(key[0])


def test_record_objects_shows_records_with_the_public_id_and_named_fields(migrated: Database) -> None:
    header = ['a "quoted" name', "b, é", "c"]
    fields = ['say "hi"\n', "\N{PILE OF POO}", ""]
    with migrated.write() as connection:
        first = add_job(connection, "first", header)
        second = add_job(connection, "second", ["n"])
        for key, row, data in ((first, 1, fields), (first, 3, ["x", "y", "z"]), (second, 1, ["7"])):
            connection.execute(insert(records).values(job_key=key, row=row, date="2026-01-31", data=json.dumps(data)))
    with migrated.read() as connection:
        found = connection.execute(text("SELECT * FROM record_objects ORDER BY job_id, row")).mappings().all()
    assert [{**row, "data": list(json.loads(row["data"]).items())} for row in found] == [
        {"job_id": "first", "row": 1, "date": "2026-01-31", "data": list(zip(header, fields, strict=True))},
        {"job_id": "first", "row": 3, "date": "2026-01-31", "data": list(zip(header, "xyz", strict=True))},
        {"job_id": "second", "row": 1, "date": "2026-01-31", "data": [("n", "7")]},
    ]
