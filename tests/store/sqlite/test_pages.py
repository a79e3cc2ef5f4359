"""When SQLite writes the pages that a transaction has changed."""

from __future__ import annotations

from pathlib import Path

from jobsvc.store.database import Database
from jobsvc.store.inserts.bulk import bulk_insert
from jobsvc.store.tables import records


def test_pages_of_a_checkpoint_wait_for_its_commit(tmp_path: Path) -> None:
    """What is written ahead of it is written once more where it changes again: in a group commit, all of the index."""
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    rows = [(1, row, "2026-01-31", "x" * 400) for row in range(10_000)]
    with database.write() as connection:
        records.create(connection)
    log = tmp_path / "db-wal"
    with database.write() as connection:
        before = log.stat().st_size
        bulk_insert(connection, records, ("job_key", "row", "date", "data"), rows)
        assert log.stat().st_size == before
    assert log.stat().st_size > before + 4_000_000
    database.close()


def test_what_is_removed_is_not_filled_with_zeros_first(tmp_path: Path) -> None:
    """Debian's SQLite does so unless it is told otherwise."""
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 0
    database.close()
