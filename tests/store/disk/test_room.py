"""What the store makes of a disk that is full, or nearly."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from jobsvc.files.no_room import told_of_no_room
from jobsvc.runs.signals import Signals
from jobsvc.settings import Settings
from jobsvc.store.database import Database
from jobsvc.store.disk import room as room_module
from jobsvc.store.disk.open_room import open_room
from jobsvc.store.disk.reserve import Reserve
from jobsvc.store.disk.room import CALM_SECONDS, FIRST_DELAY_SECONDS, LOOK_SECONDS, MAX_DELAY_SECONDS, Room
from jobsvc.store.errors import DatabaseDown, DiskFull, NoRoom
from tests.support.databases import fresh
from tests.support.full_disk import full
from tests.support.waiting import TIMEOUT

MIB = 1024 * 1024
RESERVE = 64 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reserve(tmp_path: Path) -> Reserve:
    return Reserve(tmp_path / "db-reserve", RESERVE)


@pytest.fixture
def database(tmp_path: Path, reserve: Reserve, clock: Clock) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'db'}", room=Room({}, 0, reserve, clock))
    with database.write() as connection:
        connection.execute(text("CREATE TABLE things (what TEXT)"))
        connection.execute(text("CREATE TABLE cursors (next INTEGER)"))
        connection.execute(text("INSERT INTO cursors VALUES (1)"))
    yield database
    database.close()


def write_much(database: Database, *, urgent: bool = False) -> None:
    with database.write(urgent=urgent) as connection:
        connection.execute(text("INSERT INTO things VALUES (:what)"), {"what": "x" * MIB})


def free_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    free = [1000 * MIB]
    monkeypatch.setattr(room_module, "_free", lambda *_: free[0])
    return free


def test_a_write_that_finds_no_room_is_an_outage_and_leaves_nothing(database: Database) -> None:
    with full(database), pytest.raises(DiskFull, match="SQLITE_FULL"):
        write_much(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM things")).scalar_one() == 0
    assert issubclass(DiskFull, DatabaseDown)
    write_much(database)


def test_nothing_of_a_transaction_is_kept_in_which_a_kind_has_caught_that_there_is_no_room(database: Database) -> None:
    def catching(*, then: bool) -> None:
        with database.write() as connection:
            try:
                connection.execute(text("INSERT INTO things VALUES (:what)"), {"what": "x" * MIB})
            except OperationalError:
                if then:
                    connection.execute(text("UPDATE cursors SET next = 2"))

    with full(database):
        for then in (True, False):
            with pytest.raises(DiskFull):
                catching(then=then)
    with database.read() as connection:
        assert connection.execute(text("SELECT next FROM cursors")).scalar_one() == 1


def test_the_file_of_the_database_that_can_not_be_used_is_an_outage(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'nowhere' / 'db'}")
    with pytest.raises(DatabaseDown, match="SQLITE_CANTOPEN"), database.read() as connection:
        connection.execute(text("SELECT 1"))


def test_a_full_disk_of_postgresql_is_one_too() -> None:
    with fresh("postgresql") as url:
        database = Database(Settings(database_url=url).url)
        with pytest.raises(DiskFull, match="no space"), database.write() as connection:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$"))
        assert database.write_fault() is None
        database.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_without_room_is_told_from_other_errors(number: int) -> None:
    with pytest.raises(NoRoom), told_of_no_room():
        raise OSError(number, "no room")
    with pytest.raises(PermissionError), told_of_no_room():
        raise PermissionError(errno.EACCES, "not yours")


def test_the_reserve_takes_up_room_and_an_urgent_write_on_a_full_disk_has_it(
    database: Database, reserve: Reserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = database._room
    free = free_bytes(monkeypatch)
    assert room.shortage() is None
    assert reserve.path.stat().st_blocks * 512 >= RESERVE
    free[0] = RESERVE - 1
    with database.write() as connection:
        connection.execute(text("UPDATE cursors SET next = 2"))
    with database.write(urgent=True, reserve=False) as connection:
        connection.execute(text("UPDATE cursors SET next = 2"))
    assert reserve.path.exists()
    with database.write(urgent=True) as connection:
        connection.execute(text("UPDATE cursors SET next = 3"))
    assert not reserve.path.exists()


def test_the_reserve_goes_also_where_a_disk_looks_as_if_it_had_room_and_is_made_anew_when_it_has(
    database: Database, reserve: Reserve, clock: Clock
) -> None:
    room = database._room
    assert room.shortage() is None
    with full(database):
        for urgent in (False, True):
            assert reserve.path.exists()
            with pytest.raises(DiskFull):
                write_much(database, urgent=urgent)
    assert not reserve.path.exists()
    assert room.shortage() == "the disk is full"
    assert not reserve.path.exists()
    clock.now += FIRST_DELAY_SECONDS
    assert room.shortage() is None
    assert reserve.path.exists()


def test_the_reserve_of_the_process_before_is_found(reserve: Reserve) -> None:
    assert reserve.keep()
    again = Reserve(reserve.path, RESERVE)
    assert again.is_kept
    again.give_up()
    assert not reserve.path.exists()


def test_nothing_begins_for_longer_and_longer_after_writes_that_failed(clock: Clock) -> None:
    room = Room(clock=clock)
    pauses = []
    for _ in range(6):
        room.note_full(urgent=False)
        # Others fail at the same time.
        room.note_full(urgent=False)
        begun = clock.now
        while room.shortage() is not None:
            clock.now += 1
        pauses.append(clock.now - begun)
    assert pauses == [FIRST_DELAY_SECONDS, 10, 20, 40, MAX_DELAY_SECONDS, MAX_DELAY_SECONDS]
    clock.now += CALM_SECONDS
    room.note_full(urgent=False)
    clock.now += FIRST_DELAY_SECONDS
    assert room.shortage() is None


def test_a_disk_is_looked_at_once_a_second_at_most_and_there_is_to_be_some_room_more_than_the_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = free_bytes(monkeypatch)
    room = Room({"files": tmp_path}, 80 * MIB, clock=clock)
    assert room.shortage() is None
    free[0] = 80 * MIB - 1
    assert room.shortage() is None
    found = []
    for size in (80 * MIB - 1, 80 * MIB, 90 * MIB, 80 * MIB):
        free[0] = size
        clock.now += LOOK_SECONDS
        found.append(room.shortage())
    assert found[0] is not None
    assert found[0] == (
        "the disk of the files is nearly full: 79 MiB are free, and 80 MiB are to stay so (JOBSVC_MIN_FREE_BYTES)"
    )
    assert found[1] is not None
    assert found[2:] == [None, None]


def test_which_disks_are_looked_at(tmp_path: Path) -> None:
    def places(**settings: str) -> dict[str, Path]:
        return dict(open_room(Settings(data_dir=tmp_path, **settings))._places)  # type: ignore[arg-type]

    remote = "s3://bucket/prefix"
    postgresql = "postgresql://host/name"
    assert places() == {"database": tmp_path, "files": tmp_path}
    assert places(files_url="file:///else%20where") == {"database": tmp_path, "files": Path("/else where")}
    assert places(files_url=remote) == {"database": tmp_path}
    assert places(database_url="sqlite:////other/db") == {"database": Path("/other"), "files": tmp_path}
    assert places(database_url=postgresql) == {"files": tmp_path}
    assert places(database_url=postgresql, files_url=remote) == {}


def test_a_run_waits_for_what_is_being_asked_of_its_job() -> None:
    signals = Signals()
    signals.begin_asking()
    signals.begin_asking()
    assert signals.stop.is_set()
    run = Thread(target=signals.acknowledge)
    run.start()
    signals.end_asking()
    assert signals.stop.is_set()
    signals.end_asking()
    run.join(TIMEOUT)
    assert not signals.stop.is_set()
    signals.begin_asking()
    signals.shut_down()
    signals.acknowledge()
    assert signals.stop.is_set()
