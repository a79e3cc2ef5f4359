"""`doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from jobsvc.cli.doctor.finding import Finding, Mark
from jobsvc.cli.doctor.of_versions import versions
from jobsvc.cli.main import main
from jobsvc.files.contract import IDENTITY
from jobsvc.store.database import Database
from jobsvc.store.migrate import upgrade
from jobsvc.version import VERSION
from tests.cli.conftest import Told
from tests.support.server import Server, free_port


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a directory without a .env, and with no settings but the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("JOBSVC_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("JOBSVC_MIN_FREE_BYTES", "0")
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.delenv("JOBSVC_URL", raising=False)


def look(**settings: str) -> tuple[int, list[Finding]]:
    done = CliRunner().invoke(main, ["doctor", "--json"], env=settings, prog_name="jobsvc")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found = json.loads(done.stdout)
    assert found["ok"] is (done.exit_code == 0)
    return done.exit_code, [Finding(**finding) for finding in found["findings"]]


def marked(mark: Mark, **settings: str) -> list[str]:
    """What was found with this mark: the subject, what is told, and what to do."""
    code, found = look(**settings)
    assert code == int(any(finding.mark == Mark.WRONG for finding in found))
    return [
        f"{finding.subject}: {finding.told}" + (f" -> {finding.todo}" if finding.todo else "")
        for finding in found
        if finding.mark == mark
    ]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database of this version, without any jobs."""
    path = tmp_path / "data" / "jobsvc.db"
    path.parent.mkdir()
    opened = Database(f"sqlite:///{path}")
    upgrade(opened)
    opened.close()
    return path


def test_before_the_first_start_nothing_is_wrong_and_nothing_is_made(tmp_path: Path) -> None:
    assert marked(Mark.WRONG) == []
    notes = marked(Mark.NOTE)
    assert f"database: sqlite:///{tmp_path}/data/jobsvc.db is not there yet: the first start makes it" in notes
    assert f"files: {tmp_path}/data/files is not there yet: the first start makes it" in notes
    assert "lock: no process runs the jobs: make, or jobsvc serve" in notes
    assert list(tmp_path.iterdir()) == []


def test_settings_are_told_with_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JOBSVC_MAX_RUNNING=3\nJOBSVC_MAX_QUEUED=\n")
    told = marked(Mark.GOOD, JOBSVC_RECOVER="manual")
    assert "settings: JOBSVC_MAX_RUNNING: '3' (.env)" in told
    assert "settings: JOBSVC_MAX_QUEUED: 10000 (default)" in told
    assert "settings: JOBSVC_RECOVER: 'manual' (environment)" in told
    assert "settings: kinds: baselineCSV, bulkTeam, createExport" in told


def test_every_setting_that_can_not_be_used_is_told_and_no_secret_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JOBSVC_WEBHOOK_SECRET=unspeakable\n")
    told = marked(Mark.WRONG, JOBSVC_MAX_RUNNING="many", DATABASE_URL="mysql://ann:unspeakable@x/y")
    assert [text.split(" can't be used")[0] for text in told] == [
        "settings: DATABASE_URL='mysql://…@x/y'",
        "settings: JOBSVC_MAX_RUNNING='many'",
        "settings: JOBSVC_WEBHOOK_SECRET=…",
    ]
    assert "-> it is set in .env: set it right" in told[2]
    assert "unspeakable" not in "".join(told)
    (tmp_path / ".env").unlink()
    _, found = look(DATABASE_URL="postgresql://ann:unspeakable@127.0.0.1:1/x")
    assert "DATABASE_URL: 'postgresql://…@127.0.0.1:1/x' (environment)" in [finding.told for finding in found]
    assert "unspeakable" not in str(found)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"JOBSVC_MAX_RUNING": "3"}, "settings: JOBSVC_MAX_RUNING is not a setting"),
        ({"JOBSVC_ENGINE": "fleet"}, "settings: JOBSVC_ENGINE=fleet needs a database that many machines can reach"),
        ({"HOST": "0.0.0.0"}, "settings: refusing to listen on 0.0.0.0"),
        ({"JOBSVC_KINDS": "no.such:Kind"}, "settings: JOBSVC_KINDS: 'no.such:Kind' can't be imported"),
        ({"JOBSVC_MIN_FREE_BYTES": str(10**18)}, "disk: "),
        ({"DATABASE_URL": "postgresql://ann:pw@127.0.0.1:1/x"}, "database: postgresql+psycopg://ann:***@127.0.0.1:1/x"),
    ],
)
def test_what_keeps_a_service_from_working_is_told_with_what_to_do(settings: dict[str, str], said: str) -> None:
    told = marked(Mark.WRONG, **settings)
    assert told[0].startswith(said), told
    assert all(" -> " in text for text in told)


def test_a_file_that_is_no_database_is_told(database: Path) -> None:
    database.write_bytes(b"nothing of the kind, and long enough to be looked at" * 100)
    (told,) = marked(Mark.WRONG)
    assert told.startswith(f"database: sqlite:///{database}: the database does not answer: ")
    assert told.endswith("restore a backup: docs/backup.md")


def test_a_database_of_another_version_is_told(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    assert f"database: the tables in sqlite:///{database} are not of this version" in marked(Mark.NOTE)[0]


def test_files_that_are_another_database_s_are_told(database: Path) -> None:
    files = database.parent / "files"
    files.mkdir()
    (files / IDENTITY).write_text("another\n")
    (told,) = marked(Mark.WRONG)
    assert told.startswith(f"files: the files in {files} are another database's")
    assert told.endswith("if they do belong together: python -m jobsvc files adopt")


def test_files_that_are_missing_are_told(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    app = make_app(database_url="")
    form = {"file": (BytesIO(b"date\n2026-01-01\n"), "x.csv")}
    assert app.test_client().post("/uploadCSV", data=form).status_code == 200
    app.extensions["jobsvc"].close()
    files = tmp_path / "data" / "files"
    files.rename(tmp_path / "unmounted")
    (told,) = marked(Mark.WRONG)
    assert told.startswith(f"files: {files} is missing, and the database has 1 jobs whose files should be there")
    assert not files.exists()


def test_a_service_that_runs_is_found(service: Server) -> None:
    settings = {"JOBSVC_DATA_DIR": str(service.data_dir), "PORT": str(service.port)}
    told = marked(Mark.GOOD, **settings)
    assert any(text.startswith(f"lock: process {service.worker_pid()} on ") for text in told)
    assert f"service: {service.url} answers, is ready, and is jobsvc {VERSION}" in told
    assert f"files: {service.data_dir}/files belongs to the database" in told
    (elsewhere,) = marked(Mark.WRONG, **{**settings, "PORT": str(free_port())})
    assert elsewhere.startswith(f"service: process {service.worker_pid()} on ")
    assert "runs the jobs, but nothing answers at" in elsewhere


def test_a_service_that_is_named_is_looked_at_too(service: Server, database: Path, tmp_path: Path) -> None:
    of_its_own = {"JOBSVC_DATA_DIR": str(service.data_dir), "JOBSVC_URL": service.url}
    # Its settings name another port, as with gunicorn's --bind.
    assert marked(Mark.WRONG, **of_its_own) == []
    assert f"service: {service.url} answers, is ready, and is jobsvc {VERSION}" in marked(Mark.GOOD, **of_its_own)
    (told,) = [text for text in marked(Mark.NOTE, JOBSVC_URL=service.url) if "is not one of" in text]
    assert told.startswith(f"service: a service answers at {service.url}, and it is not one of {tmp_path}/data: ")
    nobody = f"http://127.0.0.1:{free_port()}"
    (told,) = marked(Mark.WRONG, JOBSVC_URL=nobody)
    assert told.startswith(f"service: {nobody} (from JOBSVC_URL) can't be reached: nothing listens there -> ")


@pytest.mark.parametrize("where", ["JOBSVC_URL", "PORT"])
def test_a_directory_without_a_database_is_not_taken_for_the_service(
    service: Server, tmp_path: Path, where: str
) -> None:
    (told,) = marked(Mark.WRONG, **{where: service.url if where == "JOBSVC_URL" else str(service.port)})
    assert told == (
        f"service: there is no database in {tmp_path}/data; a service answers at {service.url}"
        " -> run jobsvc doctor where that one runs: in its directory, with its settings"
    )
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_it_looks_at(tmp_path: Path) -> None:
    settings = f"place: the service of {tmp_path}, by the settings of the environment"
    told = marked(Mark.GOOD)
    assert f"{settings} alone: there is no {tmp_path}/.env" in told
    assert f"place: its data are in {tmp_path}/data" in told
    (tmp_path / ".env").write_text("JOBSVC_MAX_RUNNING=3\n")
    assert f"{settings} and of {tmp_path}/.env" in marked(Mark.GOOD)


def test_another_service_and_another_program_at_the_port_are_told(
    service: Server, told: Told, database: Path, tmp_path: Path
) -> None:
    (another,) = marked(Mark.WRONG, PORT=str(service.port))
    assert another.startswith(f"service: a service answers at {service.url}, and it is not one of {tmp_path}/data")
    told.status = 404
    (program,) = marked(Mark.WRONG, PORT=str(told.server_port))
    assert program.endswith("-> another program has the port: set PORT")


def test_packages_of_other_versions_are_told(tmp_path: Path) -> None:
    pinned = tmp_path / "requirements.txt"
    pinned.write_text("click==0.1\nno-such-package==1\n# flask==0.1\n")
    told = versions(pinned)[1]
    assert (told.mark, told.todo) == (Mark.WRONG, "make install")
    assert "click 8." in told.told
    assert "instead of 0.1, no-such-package missing instead of 1" in told.told
    assert versions(tmp_path / "gone")[1].mark is Mark.NOTE


def test_for_people_each_finding_is_a_line_and_what_to_do_another() -> None:
    done = CliRunner().invoke(main, ["doctor"], env={"JOBSVC_MAX_RUNNING": "many"}, prog_name="jobsvc")
    assert done.exit_code == 1
    assert "wrong settings JOBSVC_MAX_RUNNING='many' can't be used" in done.stdout
    assert "\n               -> it is set in environment" in done.stdout
