"""Which files are given to which database, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import delete, insert, select

from jobsvc.files.belonging import NotTogether, adopt, belong_together, settle
from jobsvc.files.contract import Files
from jobsvc.files.strays import Tidied
from jobsvc.files.tidying import tidy_strays
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from jobsvc.store.tables import identity, jobs
from tests.support.fake_remote import FakeRemote
from tests.support.stores import FAKE, LOCAL, keep, lose, opened, stored

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

FIRST = "Jon-Doe-baselineCSV-1795579008-527107315132"
SECOND = "Jon-Doe-baselineCSV-1795579015-550848623044"

pytestmark = [pytest.mark.both_databases, pytest.mark.stores(LOCAL, FAKE)]

TIMEOUT = 60

UPLOADED = ("baselineCSV", "bulkTeam")
"""The kinds whose jobs have an upload each."""


@pytest.fixture
def files(files_url: str, tmp_path: Path) -> Files:
    return opened(files_url, tmp_path)


@pytest.fixture
def make_database(tmp_path: Path, database_url: str) -> Iterator[Callable[[], Database]]:
    """Opens the test's database, with connections of their own each time."""
    opened: list[Database] = []

    def make() -> Database:
        database = Database(Settings(database_url=database_url or f"sqlite:///{tmp_path}/database").url)
        upgrade(database)
        if not opened:
            # Those of other tests have one.
            with database.write() as connection:
                connection.execute(delete(identity))
        opened.append(database)
        return database

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def database(make_database: Callable[[], Database]) -> Database:
    return make_database()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Database]:
    """Another database, that knows nothing."""
    database = Database(f"sqlite:///{tmp_path}/other.db")
    upgrade(database)
    yield database
    database.close()


def add(database: Database, job_id: str, *, kind: str = "baselineCSV", filename: str | None = "x.csv") -> None:
    values = {"id": job_id, "kind": kind, "user": "Jon-Doe", "state": "succeeded", "params": {}}
    with database.write() as connection:
        connection.execute(insert(jobs).values(**values, filename=filename, created_at=NOON, queued_at=NOON))


def identities(database: Database) -> list[str]:
    with database.read() as connection:
        return list(connection.execute(select(identity.c.id)).scalars())


def assert_refused(database: Database, files: Files, *words: str) -> None:
    """It is, the text says why and the way out, and nothing is changed."""
    before = stored(files), files.identity(), identities(database)
    with pytest.raises(NotTogether) as refused:
        settle(database, files, UPLOADED)
    for word in (*words, files.place, database.shown, "DATABASE_URL", "python -m jobsvc files adopt"):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (stored(files), files.identity(), identities(database)) == before


def test_what_is_new_gets_one_identity_and_keeps_it(database: Database, files: Files) -> None:
    assert not belong_together(database, files)
    settle(database, files, UPLOADED)
    assert belong_together(database, files)
    assert identities(database) == [files.identity()]
    FakeRemote.calls.clear()
    settle(database, files, UPLOADED)
    assert {what for what, _ in FakeRemote.calls} <= {"get"}
    assert identities(database) == [files.identity()]


def test_what_was_there_before_there_were_identities_is_recognized_by_its_jobs(
    database: Database, files: Files
) -> None:
    add(database, FIRST)
    add(database, SECOND, kind="createExport", filename=None)
    keep(files, f"{FIRST}.input", b"x")
    keep(files, f"{SECOND}.output/result.1", b"x")
    keep(files, "finance/2026/ledger.parquet", b"mine")
    settle(database, files, UPLOADED)
    assert belong_together(database, files)
    assert len(stored(files)) == 3


def test_files_that_another_database_has_are_refused(database: Database, files: Files, other: Database) -> None:
    settle(database, files, UPLOADED)
    add(database, FIRST)
    keep(files, f"{FIRST}.input", b"x")
    assert_refused(other, files, str(files.identity()), "another database's")
    assert belong_together(database, files)


def test_files_of_a_job_that_the_database_does_not_know_are_refused(database: Database, files: Files) -> None:
    add(database, FIRST)
    for job_id in (FIRST, SECOND):
        keep(files, f"{job_id}.input", b"x")
    assert_refused(database, files, SECOND, "1 of their 2 jobs")


@pytest.mark.parametrize("known", [False, True], ids=["before there were identities", "with an identity"])
def test_a_store_without_the_files_that_should_be_there_is_refused(
    database: Database, files: Files, known: bool
) -> None:
    """A volume that is not mounted."""
    if known:
        settle(database, files, UPLOADED)
        lose(files, "jobsvc-identity")
    # Sent as a form, as the body of its request, for a kind that is no more; and one without a file.
    add(database, FIRST)
    add(database, SECOND, filename=None)
    add(database, f"{SECOND}1", kind="gone")
    add(database, f"{SECOND}2", kind="createExport", filename=None)
    assert_refused(database, files, "3 jobs whose files should be there")


def test_a_file_without_a_name_is_missed_as_one_with_a_name_is(database: Database, files: Files) -> None:
    add(database, FIRST, filename=None)
    assert_refused(database, files, "1 jobs whose files should be there")


def test_jobs_that_had_no_file_miss_none(database: Database, files: Files) -> None:
    add(database, FIRST, kind="createExport", filename=None)
    settle(database, files, UPLOADED)
    assert belong_together(database, files)


def test_another_store_is_refused_also_if_the_database_has_no_files(database: Database, files: Files) -> None:
    settle(database, files, UPLOADED)
    lose(files, "jobsvc-identity")
    keep(files, f"{SECOND}.input", b"x")
    assert_refused(database, files, SECOND)


@pytest.mark.parametrize("upgraded", [False, True], ids=["new", "with files of before"])
def test_a_crash_between_the_database_and_the_store_is_made_up_for(
    database: Database, files: Files, upgraded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if upgraded:
        add(database, FIRST)
        keep(files, f"{FIRST}.input", b"x")

    class Crash(BaseException):
        pass

    def crash(_: str) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(files, "identify", crash)
        with pytest.raises(Crash):
            settle(database, files, UPLOADED)
    made = identities(database)
    assert len(made) == 1
    settle(database, files, UPLOADED)
    assert [files.identity()] == identities(database) == made


def test_files_that_were_adopted_are_the_databases_own_and_no_longer_the_others(
    database: Database, files: Files, other: Database
) -> None:
    settle(other, files, UPLOADED)
    add(database, FIRST)
    for job_id in (FIRST, SECOND):
        keep(files, f"{job_id}.input", b"x")
    adopted = adopt(database, files)
    assert (adopted.known, adopted.unknown) == (1, 1)
    settle(database, files, UPLOADED)
    assert_refused(other, files)
    assert len(stored(files)) == 2


def test_a_dry_look_changes_nothing_and_refuses_what_is_refused(database: Database, files: Files) -> None:
    settle(database, files, UPLOADED, dry=True)
    assert (identities(database), files.identity()) == ([], None)
    keep(files, f"{SECOND}.input", b"x")
    with pytest.raises(NotTogether):
        settle(database, files, UPLOADED, dry=True)


def test_processes_that_start_at_once_make_one_identity(
    make_database: Callable[[], Database], files_url: str, tmp_path: Path
) -> None:
    """Each with connections of its own, as processes have."""
    databases = [make_database() for _ in range(6)]
    gate = Barrier(len(databases))

    def start(database: Database) -> str | None:
        files = opened(files_url, tmp_path)
        gate.wait(TIMEOUT)
        settle(database, files, UPLOADED)
        return files.identity()

    with ThreadPoolExecutor(len(databases)) as threads:
        seen = list(threads.map(start, databases))
    assert len(set(seen)) == 1
    assert identities(databases[0]) == seen[:1]


def test_a_process_that_comes_while_another_makes_them_and_receives_a_file_is_not_refused(
    database: Database, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = files.job_ids

    def job_ids() -> set[str]:
        monkeypatch.undo()
        settle(database, files, UPLOADED)
        keep(files, f"{SECOND}.input", b"is being received")
        return asked()

    monkeypatch.setattr(files, "job_ids", job_ids)
    settle(database, files, UPLOADED)
    assert belong_together(database, files)


def test_strays_are_looked_for_in_files_of_ones_own_only(
    database: Database, files: Files, other: Database, caplog: pytest.LogCaptureFixture
) -> None:
    keep(files, f"{SECOND}.input", b"x")
    assert tidy_strays(database, files, NOON) == Tidied()
    adopt(other, files)
    assert tidy_strays(database, files, NOON) == Tidied()
    assert "stay" not in caplog.text
    with database.write() as connection:
        connection.execute(insert(identity).values(id="another"))
    assert tidy_strays(database, files, NOON) == Tidied()
    assert "the files in" in caplog.text
    assert list(stored(files)) == [f"{SECOND}.input"]
    assert tidy_strays(other, files, NOON).aside != []
