"""Files of jobs that nobody knows: moved aside, brought back, removed later; and what is not ours, left alone."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobsvc.files.contract import Files
from jobsvc.files.job_ids import is_job_id, make
from jobsvc.files.local import folder as local_folder
from jobsvc.files.local.files import LocalFiles
from jobsvc.files.remote import strays as remote_strays
from jobsvc.files.strays import KEPT, Tidied
from tests.support.fake_remote import FakeRemote, down
from tests.support.stores import ALL, FAKE, LOCAL, keep, opened, stored

DAY = timedelta(days=1)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ASIDE = "strays/20260131T120000Z"

KNOWN = "Jon-Doe-baselineCSV-1795579008-527107315132"
STRAY = "Jon-Doe-createExport-1795579049-796902584353"
OLD = "Jon-Doe-baselineCSV-1575836394-8469"

all_stores = pytest.mark.stores(*ALL)
both_kinds = pytest.mark.stores(LOCAL, FAKE)


@pytest.fixture
def files(files_url: str, tmp_path: Path) -> Files:
    return opened(files_url, tmp_path)


def fill(files: Files, job_id: str) -> list[str]:
    names = [f"{job_id}.input", f"{job_id}.output/0-1.part", f"{job_id}.output/result.1"]
    for name in names:
        keep(files, name, b"x")
    return names


def test_new_ids_have_the_shape_by_which_files_are_known_as_ours() -> None:
    for user in ("Jon-Doe", "Ann", "o'brien", "jörg.müller@example.org", "a b-c.input"):
        for kind in ("baselineCSV", "x", "My_Kind2"):
            assert is_job_id(make(user, kind, NOON))


MADE_LOCALLY = [".input", ".output", ".output.part"]
MADE_REMOTELY = ["/input", "/output/0-1.part", "/output/result.12", "/output/3.joining"]


@pytest.mark.parametrize("job_id", [KNOWN, OLD, "a b-c.input-gated-1795579008-0"])
def test_names_of_our_own_making_tell_whose_they_are(job_id: str) -> None:
    assert [local_folder.owner(job_id + name) for name in MADE_LOCALLY] == [job_id] * 3
    assert [remote_strays.owner(job_id + name) for name in MADE_REMOTELY] == [job_id] * 4


OTHERS = [
    "ledger",
    "2026",
    "report-2026-01-31",
    "baselineCSV-1795579008-527107315132",
    "Jon-Doe-baselineCSV-1795579008",
    "Jon-Doe-baselineCSV-1795579008-",
    "Jon-Doe-baselineCSV-179557900-5271",
    "Jon-Doe-baselineCSV-1795579008-0527",
    "Jon-Doe-baselineCSV-1795579008-5271073151320",
    "Jon-Doe-base line-1795579008-5271",
    f"{KNOWN}.bak",
    f"{KNOWN} (2)",
    f"{KNOWN}\n",
]


@pytest.mark.parametrize("other", OTHERS)
def test_names_of_other_peoples_making_are_nobodys(other: str) -> None:
    assert [local_folder.owner(other + name) for name in MADE_LOCALLY] == [None] * 3
    assert [remote_strays.owner(other + name) for name in MADE_REMOTELY] == [None] * 4


@pytest.mark.parametrize("name", ["", ".txt", ".part", ".output.bak", ".input.part", "/input2", "/output/notes.txt"])
def test_a_jobs_id_alone_makes_no_name_ours(name: str) -> None:
    assert local_folder.owner(KNOWN + name) is None
    assert remote_strays.owner(KNOWN + name) is None


def foreign(files: Files) -> list[str]:
    """What other people may have beside our files."""
    names = [
        "finance/2026/ledger.parquet",
        "finance.input",
        f"{STRAY}-copy.input",
        "strays/finance/ledger.parquet",
        f"{ASIDE}/ledger.parquet",
        f"strays/before/{STRAY}.input",
        "mine.output/0-1.part",
    ]
    if isinstance(files, LocalFiles):
        # A folder of ours with something else in it is not of exactly our own making.
        names += [f"{OLD}.output/notes.txt", f"{OLD}.output/0-1.part", f"{STRAY}.part"]
    else:
        names += [f"{STRAY}/notes.txt", f"{STRAY}.output/notes.txt", f"{STRAY}.output/a/0-1.part"]
    for name in names:
        keep(files, name, b"mine")
    return names


@all_stores
def test_what_no_job_is_known_to_is_moved_aside_and_all_else_stays(files: Files) -> None:
    kept = fill(files, KNOWN) + foreign(files)
    moved = fill(files, STRAY)
    done = files.tidy_strays({KNOWN, "no files"}, (), NOON)
    assert sorted(stored(files)) == sorted([*kept, *(f"{ASIDE}/{name}" for name in moved)])
    assert all(where.startswith(f"{ASIDE}/{STRAY}") for where in done.aside)
    assert len(done.aside) in (2, 3)
    assert (done.back, done.removed, done.stuck) == ([], [], [])
    assert files.tidy_strays({KNOWN}, (), NOON) == Tidied()


@both_kinds
def test_it_is_removed_a_week_after_it_was_moved_however_old_it_is(files: Files) -> None:
    kept = foreign(files)
    moved = fill(files, STRAY)
    files.tidy_strays((), (), NOON)
    assert files.tidy_strays((), (), NOON + KEPT - timedelta(seconds=1)) == Tidied()
    assert len(stored(files)) == len(kept) + len(moved)
    done = files.tidy_strays((), (), NOON + KEPT)
    assert sorted(stored(files)) == sorted(kept)
    assert all(name.startswith(f"{ASIDE}/{STRAY}") for name in done.removed)
    assert done.removed
    assert done.stuck == []


@all_stores
def test_it_comes_back_when_its_job_is_known_again(files: Files) -> None:
    fill(files, STRAY)
    before = stored(files)
    files.tidy_strays((), (), NOON)
    assert files.job_ids() == set()
    done = files.tidy_strays({STRAY}, (), NOON + DAY)
    assert stored(files) == before
    assert len(done.back) in (2, 3)
    assert files.tidy_strays({STRAY}, (), NOON + 10 * DAY) == Tidied()


@both_kinds
def test_it_comes_back_to_no_place_that_is_taken(files: Files) -> None:
    keep(files, f"{STRAY}.input", b"first")
    files.tidy_strays((), (), NOON)
    keep(files, f"{STRAY}.input", b"second")
    files.tidy_strays({STRAY}, (), NOON + DAY)
    assert stored(files) == {f"{ASIDE}/{STRAY}.input": b"first", f"{STRAY}.input": b"second"}


@both_kinds
def test_files_of_jobs_that_were_forgotten_are_removed_at_once(files: Files) -> None:
    fill(files, STRAY)
    files.tidy_strays((), (), NOON)
    fill(files, STRAY)
    done = files.tidy_strays((), {STRAY}, NOON + DAY, older_than=10 * DAY)
    assert stored(files) == {}
    assert len(done.removed) in (4, 6)


@both_kinds
def test_while_others_upload_only_what_has_not_changed_for_a_while_is_a_stray(files: Files) -> None:
    fill(files, STRAY)
    now = datetime.now(UTC)
    assert files.tidy_strays((), (), now, older_than=DAY) == Tidied()
    assert len(stored(files)) == 3
    assert files.tidy_strays((), (), now + 2 * DAY, older_than=DAY).aside != []
    assert files.job_ids() == set()


@both_kinds
def test_a_job_is_no_stray_as_long_as_anything_of_it_is_new(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRemote, "age", 2 * DAY)
    for name in (f"{OLD}.input", f"{STRAY}.output/0-1.part", f"{STRAY}.output/result.1"):
        keep(files, name, b"old")
    if isinstance(files, LocalFiles):
        for path in files.directory.rglob("*"):
            os.utime(path, (0, 0))
    monkeypatch.setattr(FakeRemote, "age", 0 * DAY)
    keep(files, f"{STRAY}.output/5-1.part", b"new")
    files.tidy_strays((), (), datetime.now(UTC), older_than=DAY)
    assert files.job_ids() == {STRAY}
    assert len(stored(files)) == 4


@all_stores
def test_removing_a_job_leaves_what_others_have_put_beside_its_files(files: Files) -> None:
    fill(files, KNOWN)
    mine = [f"{KNOWN}.output/mine/0-1.part", f"{KNOWN}.output/notes.txt"]
    for name in mine:
        keep(files, name, b"mine")
    files.tidy_output(KNOWN, 1)
    assert sorted(stored(files)) == [f"{KNOWN}.input", *mine, f"{KNOWN}.output/result.1"]
    files.remove(KNOWN)
    assert sorted(stored(files)) == mine


# What can't be moved.


@pytest.fixture
def nobodys_folder() -> Iterator[Path]:
    """A folder that a user without rights can reach, and has if it runs as root; tmp_path is root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="jobsvc-strays-"))
    yield folder
    shutil.rmtree(folder)


def without_rights(call: Callable[[], Tidied]) -> Tidied:
    """What `call` returns in a process that may not do everything."""
    if os.geteuid() != 0:
        return call()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            done = call()
            os.write(writing, json.dumps(vars(done)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as told:
        said = told.read()
    assert os.waitpid(child, 0)[1] == 0
    return Tidied(**json.loads(said))


def test_what_belongs_to_root_stays_and_the_others_are_moved(nobodys_folder: Path) -> None:
    files = LocalFiles(nobodys_folder)
    keep(files, f"{OLD}.output/0-1.part", b"root's")
    keep(files, f"{STRAY}.input", b"x")
    (nobodys_folder / f"{OLD}.output").chmod(0o000)
    if os.geteuid() == 0:
        os.chown(nobodys_folder, 65534, 65534)
    done = without_rights(lambda: files.tidy_strays((), (), NOON))
    (nobodys_folder / f"{OLD}.output").chmod(0o700)
    assert done.aside == [f"{ASIDE}/{STRAY}.input"]
    assert [stuck.partition(": ")[0] for stuck in done.stuck] == [f"{OLD}.output"]
    assert "Permission denied" in done.stuck[0]
    assert sorted(stored(files)) == [f"{OLD}.output/0-1.part", f"{ASIDE}/{STRAY}.input"]


def test_in_a_folder_that_can_not_be_written_to_everything_stays(nobodys_folder: Path) -> None:
    files = LocalFiles(nobodys_folder)
    keep(files, f"{STRAY}.input", b"x")
    nobodys_folder.chmod(0o555)
    done = without_rights(lambda: files.tidy_strays((), (), NOON))
    nobodys_folder.chmod(0o755)
    assert [stuck.partition(": ")[0] for stuck in done.stuck] == [f"{STRAY}.input"]
    assert list(stored(files)) == [f"{STRAY}.input"]


@pytest.mark.stores(LOCAL)
def test_where_the_name_of_the_folder_for_strays_is_taken_they_stay(files: Files) -> None:
    keep(files, "strays", b"mine")
    keep(files, f"{STRAY}.input", b"x")
    done = files.tidy_strays((), (), NOON)
    assert len(done.stuck) == 1
    assert sorted(stored(files)) == [f"{STRAY}.input", "strays"]


@pytest.mark.stores(FAKE)
def test_a_store_that_lets_nothing_be_moved_is_not_asked_again_and_again(files: Files) -> None:
    for number in range(10):
        keep(files, f"{STRAY[:-1]}{number}.input", b"x")
    with down("copy"):
        done = files.tidy_strays((), (), NOON)
    assert len(done.stuck) == remote_strays.MAX_STUCK
    assert len(stored(files)) == 10
