from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError

from jobsvc.settings import Settings
from jobsvc.store.commits import group_commit
from jobsvc.store.commits.group_commit import GroupCommit
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseClosed, DatabaseDown, DiskFull
from jobsvc.store.tables import records
from tests.support.databases import lay_out
from tests.support.waiting import TIMEOUT

DAY = "2026-01-01"


def yes() -> bool:
    return True


def no() -> bool:
    return False


class Group:
    """A `GroupCommit` on a database of its own, and the rows that are committed."""

    def __init__(self, directory: Path) -> None:
        lay_out(directory, "")
        self.database = Database(Settings(data_dir=directory).url)
        self.transactions = 0
        self.in_a_hurry = False
        self.commit = GroupCommit(self._begin, lambda: self.in_a_hurry)
        self.fail: BaseException | None = None
        """What the end of the transaction is to raise, so that it is rolled back."""

    @contextmanager
    def _begin(self, urgent: Callable[[], bool]) -> Iterator[Connection]:
        with self.database.write(urgent_when=urgent) as connection:
            self.transactions += 1
            yield connection
            if self.fail is not None:
                raise self.fail

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is handed over in the block is waiting together when it ends."""
        with self.database.write():
            yield

    def add(self, row: int, *, urgent: Callable[[], bool] = no, then: Callable[[], object] = no) -> Future[int]:
        def write(connection: Connection, _hurry: Callable[[], bool]) -> int:
            put(connection, row)
            then()
            return row

        return self.commit.submit(write, urgent)

    def rows(self) -> list[int]:
        with self.database.read() as connection:
            return list(connection.execute(select(records.c.row).order_by(records.c.row)).scalars())


def put(connection: Connection, row: int) -> None:
    connection.execute(insert(records).values(job_key=1, row=row, date=DAY, data="[]"))


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    # However slow the machine is: a group ends when nothing waits.
    monkeypatch.setattr(group_commit, "GROUP_SECONDS", TIMEOUT)
    (tmp_path / "data").mkdir()
    found = Group(tmp_path / "data")
    yield found
    found.commit.close()
    found.database.close()


def test_what_waits_together_is_committed_in_one_transaction(group: Group) -> None:
    with group.held():
        futures = [group.add(row) for row in range(1, 5)]
    assert [future.result(TIMEOUT) for future in futures] == [1, 2, 3, 4]
    assert group.rows() == [1, 2, 3, 4]
    # The first may have been taken before the others came.
    assert group.transactions <= 2


def test_nobody_is_told_before_the_commit(group: Group) -> None:
    """Others read what is committed: when the future has a result, they see what was written."""
    seen: list[list[int]] = []
    told = Event()

    def look(_: Future[int]) -> None:
        seen.append(group.rows())
        told.set()

    with group.held():
        group.add(1).add_done_callback(look)
        last = group.add(2)
    last.result(TIMEOUT)
    assert told.wait(TIMEOUT)
    assert 1 in seen[0]


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_one_that_fails_takes_no_other_with_it(group: Group, broken: int) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with group.held():
        futures = [group.add(row, then=fail if row == broken else no) for row in (1, 2, 3)]
    with pytest.raises(ZeroDivisionError):
        futures[broken - 1].result(TIMEOUT)
    others = [row for row in (1, 2, 3) if row != broken]
    assert [futures[row - 1].result(TIMEOUT) for row in others] == others
    assert group.rows() == others


def test_a_statement_that_fails_takes_no_other_with_it_either(group: Group) -> None:
    with group.held():
        futures = [group.add(row) for row in (1, 1, 2)]
    assert futures[0].result(TIMEOUT) == 1
    with pytest.raises(IntegrityError):
        futures[1].result(TIMEOUT)
    assert futures[2].result(TIMEOUT) == 2
    assert group.rows() == [1, 2]


ORPHAN = "INSERT INTO children VALUES (7)"
"""Is refused at the commit."""

ALL_OR_NONE = "INSERT OR ROLLBACK INTO records (job_key, row, date, data) SELECT job_key, row, date, data FROM records"
"""Is refused, and takes the whole transaction with it."""


@pytest.mark.parametrize("statement", [ORPHAN, ALL_OR_NONE])
@pytest.mark.parametrize("broken", [0, 1, 2])
def test_one_that_breaks_the_transaction_takes_no_other_with_it(group: Group, statement: str, broken: int) -> None:
    with group.database.write() as connection:
        put(connection, 9)
        connection.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
        key = "parent INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED"
        connection.execute(text(f"CREATE TABLE children ({key})"))

    def fail(connection: Connection, _hurry: Callable[[], bool]) -> int:
        connection.execute(text(statement))
        return 0

    with group.held():
        rows = [group.add(1), group.add(2)]
        rows.insert(broken, group.commit.submit(fail, no))
        futures = [group.add(3), *rows]
    with pytest.raises(IntegrityError):
        futures[broken + 1].result(TIMEOUT)
    assert sorted(future.result(TIMEOUT) for at, future in enumerate(futures) if at != broken + 1) == [1, 2, 3]
    assert group.rows() == [1, 2, 3, 9]
    with group.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM children")).scalar_one() == 0


def test_if_the_transaction_fails_all_that_were_in_it_are_told_and_nothing_is_there(group: Group) -> None:
    group.fail = DatabaseDown("gone")
    with group.held():
        futures = [group.add(row) for row in (1, 2, 3)]
    for future in futures:
        with pytest.raises(DatabaseDown):
            future.result(TIMEOUT)
    assert group.rows() == []
    group.fail = None
    assert group.add(1).result(TIMEOUT) == 1


def test_if_there_is_no_room_nothing_of_the_transaction_is_kept(group: Group) -> None:
    """SQLite may have rolled all of it back by then, the others' part too."""

    def full() -> None:
        raise DiskFull("full")

    def write(connection: Connection, _hurry: Callable[[], bool]) -> int:
        connection.info["jobsvc_broken"] = "database or disk is full"
        raise DiskFull("full")

    with group.held():
        futures = [group.add(1), group.commit.submit(write, no), group.add(2)]
    with pytest.raises(DiskFull):
        futures[1].result(TIMEOUT)
    told = {number for number in (0, 2) if futures[number].exception(TIMEOUT) is None}
    assert group.rows() == sorted({0: 1, 2: 2}[number] for number in told)


def test_if_it_can_not_begin_all_that_wait_are_told(group: Group) -> None:
    with group.held():
        futures = [group.add(row) for row in (1, 2, 3)]
        group.database._closed = True
    for future in futures:
        with pytest.raises(DatabaseClosed):
            future.result(TIMEOUT)


def test_urgent_ones_go_first_and_do_not_wait_for_more(group: Group) -> None:
    order: list[int] = []
    urgent = Event()
    with group.held():
        group.add(1)
        futures = [
            group.add(row, urgent=urgent.is_set if row == 4 else no, then=lambda row=row: order.append(row))
            for row in (2, 3, 4)
        ]
        urgent.set()
    for future in futures:
        future.result(TIMEOUT)
    # The first of all may have been taken already.
    assert order[0] == 4
    assert group.transactions >= 2


def test_a_group_ends_when_somebody_waits_for_the_turn_who_goes_first(group: Group) -> None:
    with group.held():
        group.in_a_hurry = True
        futures = [group.add(row) for row in (1, 2, 3)]
    for future in futures:
        future.result(TIMEOUT)
    assert group.transactions == 3


def test_whoever_writes_is_told_when_somebody_is_in_a_hurry(group: Group) -> None:
    told: list[bool] = []
    urgent = Event()

    def write(_connection: Connection, hurry: Callable[[], bool]) -> None:
        told.append(hurry())
        group.in_a_hurry = True
        told.append(hurry())
        group.in_a_hurry = False
        waiting.append(group.add(1, urgent=urgent.is_set))
        told.append(hurry())
        urgent.set()
        told.append(hurry())

    waiting: list[Future[Any]] = []
    group.commit.submit(write, no).result(TIMEOUT)
    assert told == [False, True, False, True]
    assert waiting[0].result(TIMEOUT) == 1


def test_it_is_written_on_a_thread_of_its_own_and_without_one_at_once(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", none)
        assert group.add(1).done()
    later = group.add(2)
    assert later.result(TIMEOUT) == 2
    group.commit.close()
    assert group.add(3).done()
    assert group.rows() == [1, 2, 3]


def test_what_was_handed_over_before_the_end_is_still_written(group: Group) -> None:
    with group.held():
        futures = [group.add(row) for row in (1, 2)]
        group.commit.close()
    assert [future.result(TIMEOUT) for future in futures] == [1, 2]
