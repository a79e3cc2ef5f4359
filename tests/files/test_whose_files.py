"""What a start makes of files that are not, or no longer, those of its database."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from flask import Flask

from jobsvc.files.belonging import NotTogether
from jobsvc.jobs.states import State
from jobsvc.store.database import Database
from jobsvc.store.errors import FilesDown
from jobsvc.store.migrate import upgrade
from tests.support.fake_remote import down
from tests.support.requests import CSV, upload
from tests.support.stores import FAKE, LOCAL, keep, stored
from tests.support.waiting import wait_for
from tests.test_command_line import done, run

pytestmark = pytest.mark.stores(LOCAL, FAKE)

MakeApp = Callable[..., Flask]

STRAY = "Jon-Doe-baselineCSV-1795579008-527107315132"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "jobsvc.db"


def start(make_app: MakeApp, **settings: object) -> Flask:
    return make_app(**settings)


def end(app: Flask) -> None:
    app.extensions["jobsvc"].close()


def used(make_app: MakeApp) -> tuple[Flask, str]:
    """An application that has imported a file, and has ended; and the job's id."""
    app = start(make_app)
    job_id = upload(app.test_client())
    wait_for(app.extensions["jobsvc"], job_id, State.SUCCEEDED)
    keep(app.extensions["jobsvc"].files, "finance/2026/ledger.parquet", b"mine")
    end(app)
    return app, job_id


def test_a_start_with_another_database_is_refused_and_removes_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    app, job_id = used(make_app)
    files = app.extensions["jobsvc"].files
    with pytest.raises(NotTogether, match="another database's"):
        start(make_app, database_url=f"sqlite:///{tmp_path}/data/other.db")
    assert stored(files) == {"finance/2026/ledger.parquet": b"mine", f"{job_id}.input": CSV}
    # The directory is free again, and the right database has its files.
    assert start(make_app).test_client().get(f"/jobs/{job_id}").status_code == 200


@pytest.mark.stores(LOCAL)
def test_a_start_without_its_volume_is_refused_also_if_its_files_have_no_names(
    make_app: MakeApp, tmp_path: Path
) -> None:
    folder = tmp_path / "shared files"
    app = start(make_app)
    answer = app.test_client().put("/uploadCSV", data=CSV, content_type="application/octet-stream")
    assert answer.status_code == 200, answer.text
    wait_for(app.extensions["jobsvc"], answer.json["Job ID"], State.SUCCEEDED)
    end(app)
    folder.rename(tmp_path / "unmounted")
    folder.mkdir()
    with pytest.raises(NotTogether, match="1 jobs whose files should be there"):
        start(make_app)
    folder.rmdir()
    (tmp_path / "unmounted").rename(folder)
    start(make_app)


def test_an_older_database_keeps_what_it_does_not_know_for_the_newer_one(
    make_app: MakeApp, database: Path, tmp_path: Path
) -> None:
    app, _ = used(make_app)
    files = app.extensions["jobsvc"].files
    shutil.copyfile(database, tmp_path / "older.db")
    _, later = used(make_app)
    shutil.copyfile(database, tmp_path / "newer.db")
    before = stored(files)
    shutil.copyfile(tmp_path / "older.db", database)
    end(start(make_app))
    assert f"{later}.input" not in stored(files)
    assert len(stored(files)) == len(before)
    shutil.copyfile(tmp_path / "newer.db", database)
    client = start(make_app).test_client()
    assert stored(files) == before
    assert client.get(f"/jobs/{later}/unprocessed").status_code == 200


def test_a_database_from_before_there_were_identities_is_refused_if_files_came_after_it(
    make_app: MakeApp, database: Path, tmp_path: Path
) -> None:
    app, _ = used(make_app)
    shutil.copyfile(database, tmp_path / "older.db")
    used(make_app)
    with closing(sqlite3.connect(tmp_path / "older.db")) as connection, connection:
        connection.execute("DELETE FROM identity")
    shutil.copyfile(tmp_path / "older.db", database)
    before = stored(app.extensions["jobsvc"].files)
    with pytest.raises(NotTogether, match="has none"):
        start(make_app)
    assert stored(app.extensions["jobsvc"].files) == before


def test_strays_that_can_not_be_moved_stop_no_start(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    app, job_id = used(make_app)
    files = app.extensions["jobsvc"].files
    keep(files, f"{STRAY}.input", b"x")
    if "fake" in request.node.name:
        with down("copy"):
            client = start(make_app).test_client()
    else:
        keep(files, "strays", b"in the way")
        client = start(make_app).test_client()
    assert "could not be moved or removed" in caplog.text
    assert client.get(f"/jobs/{job_id}").status_code == 200
    assert stored(files)[f"{STRAY}.input"] == b"x"


@pytest.mark.stores(FAKE)
def test_a_store_that_did_not_answer_at_the_first_start_is_known_at_the_next(make_app: MakeApp) -> None:
    with down():
        app = start(make_app)
    files = app.extensions["jobsvc"].files
    job_id = upload(app.test_client())
    wait_for(app.extensions["jobsvc"], job_id, State.SUCCEEDED)
    assert files.identity() is None
    end(app)
    end(start(make_app))
    assert files.identity() is not None
    with down(), pytest.raises(FilesDown):
        files.identity()


@pytest.mark.stores(LOCAL)
def test_the_command_line_refuses_what_a_start_refuses_and_says_that_they_belong_together(
    make_app: MakeApp, tmp_path: Path, files_url: str
) -> None:
    data, settings = tmp_path / "data", {"JOBSVC_FILES_URL": files_url}
    used(make_app)
    (data / "jobsvc.db").rename(tmp_path / "old.db")
    new = Database(f"sqlite:///{data}/jobsvc.db")
    upgrade(new)
    new.close()
    finished = run(data, "purge", **settings)
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    assert "python -m jobsvc files adopt" in finished.stderr
    told = done(data, "files", "adopt", **settings)
    assert told[0].endswith("belong to sqlite:///" + str(data / "jobsvc.db") + " now: files of 0 of its jobs")
    assert told[1].startswith("files of 1 jobs that it does not know: the next start moves them to ")
    app = start(make_app)
    assert len(stored(app.extensions["jobsvc"].files)) == 2
    finished = run(data, "files", "adopt", **settings)
    assert (finished.returncode, "is in use by process" in finished.stderr) == (1, True)
