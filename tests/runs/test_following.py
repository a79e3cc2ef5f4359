"""The checkpoint that follows: the thread that commits begins it, unless something has come in between."""

from __future__ import annotations

from threading import current_thread
from typing import Any

import pytest
from sqlalchemy import func, select

from jobsvc.jobs.states import State
from jobsvc.kinds.csv.work import CsvWork
from jobsvc.runs import runner
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.checkpoints.pending import Pending
from jobsvc.runs.checkpoints.writer import CheckpointWriter
from jobsvc.runs.runner import Runner
from jobsvc.runs.sampling.progress import ProgressMeter
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.queries import job_rows
from jobsvc.store.tables import records
from tests.runs.test_cut_batches import ROWS, rows_of, submit
from tests.support import batches
from tests.support.environment import Environment
from tests.support.handed_on import COMMITTER, HandedOn


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches.make_small(monkeypatch)


@pytest.fixture
def handed_on(monkeypatch: pytest.MonkeyPatch) -> HandedOn:
    handed_on = HandedOn()
    handed_on.put_in(monkeypatch)
    return handed_on


def numbers(env: Environment, job: Any) -> list[int]:
    return [row[0] for row in rows_of(env, job)]


def test_the_thread_that_commits_begins_what_follows_in_the_name_of_the_run(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    count = ProgressMeter.count

    def seen(self: ProgressMeter, items: int) -> None:
        counted.append(items)
        count(self, items)

    monkeypatch.setattr(ProgressMeter, "count", seen)
    job = env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert numbers(env, job) == list(range(1, 101))
    assert (job.done, counted) == (100, [20] * 5)
    # All but the first, which shows that the attempt is no crash, and the one after it.
    assert handed_on.by_committer() == 3
    assert {fields.get("job") for fields in handed_on.about} == {job.id}


def with_bad_rows(*bad: int) -> str:
    return "date,n\n" + "".join(f"{'never' if row in bad else '2026-01-01'},{row}\n" for row in range(1, 101))


def test_what_follows_counts_on_from_what_is_committed(env: Environment, handed_on: HandedOn) -> None:
    """Where rows are refused, too."""
    job = env.wait_for(submit(env, with_bad_rows(5, 70)), State.SUCCEEDED)
    assert numbers(env, job) == [row for row in range(1, 101) if row not in {5, 70}]
    assert (job.done, job.failed) == (98, 2)
    assert handed_on.by_committer() > 0


def test_refused_rows_of_what_follows_count_before_it_begins(env: Environment, handed_on: HandedOn) -> None:
    """The third batch has more of them than the others have left over."""
    job = env.wait_for(submit(env, with_bad_rows(5, 25, 45, 46, 47, 48, 65), max_failed=3), State.FAILED)
    assert (job.done, job.failed) == (42, 4)


def test_a_run_that_is_to_stop_begins_no_whole_batch(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told so when the second batch is written, by something that is not to be obeyed."""
    monkeypatch.setattr(runner, "FEW_ITEMS", 5)
    sizes: list[int] = []
    write = CheckpointWriter.write

    def seen(self: CheckpointWriter, *arguments: Any) -> Any:
        written = write(self, *arguments)
        sizes.append(written.items)
        if len(sizes) == 2:
            signals_of(env, self).stop.set()
        return written

    monkeypatch.setattr(CheckpointWriter, "write", seen)
    job = env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert sizes[:3] == [20, 20, 5]
    assert numbers(env, job) == list(range(1, 101))


def signals_of(env: Environment, writer: CheckpointWriter) -> Any:
    signals = env.engine._running(writer.job.key, writer.job.attempt)
    assert signals is not None
    return signals


def test_what_comes_too_late_to_follow_is_begun_by_the_run(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read what follows only when the one before is committed."""
    begin_after = Checkpoints.begin_after

    def late(self: Checkpoints, *arguments: Any, **more: Any) -> bool:
        if self._pending is not None:
            self._pending.wait()
        return begin_after(self, *arguments, **more)

    handed_on.waits_for_none = True
    monkeypatch.setattr(Checkpoints, "begin_after", late)
    job = env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert numbers(env, job) == list(range(1, 101))
    assert len(handed_on.by) == 5
    assert handed_on.by_committer() == 0


def test_the_run_hears_of_a_commit_when_what_follows_has_begun(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it woke up before, the two threads would stand in each other's way."""
    heard: list[bool] = []
    end = Pending.end

    def seen(self: Pending, outcome: Any) -> None:
        heard.append(self.has_begun and len(handed_on.by) > len(heard) + 1)
        end(self, outcome)

    monkeypatch.setattr(Pending, "end", seen)
    env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    # The first shows that the attempt is no crash, so that nothing follows it; and nothing is left to follow the last.
    assert heard == [False, True, True, True, False]


def test_what_is_committed_counts_whatever_comes_of_what_follows(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not written again, and the run begins what follows itself."""
    begun, failed = Checkpoints._begun, []

    def fails_once(self: Checkpoints, pending: Pending) -> Pending:
        if current_thread().name == COMMITTER and not failed:
            failed.append(pending)
            raise DatabaseBusy("on purpose")
        return begun(self, pending)

    monkeypatch.setattr(Checkpoints, "_begun", fails_once)
    job = env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert failed
    assert numbers(env, job) == list(range(1, 101))
    assert job.done == 100


def test_nothing_follows_one_that_was_cut_short_before_its_rest(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.cut_short(monkeypatch)
    seen: list[tuple[int, int]] = []
    note = CheckpointWriter.note

    def look(self: CheckpointWriter, *arguments: Any) -> None:
        with env.database.read() as connection:
            place = job_rows.place(connection, self.job.key)
            mine = select(func.count()).where(records.c.job_key == self.job.key)
            seen.append((place["cursor"]["row"] - 1, connection.execute(mine).scalar_one()))
        note(self, *arguments)

    monkeypatch.setattr(CheckpointWriter, "note", look)
    env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert len(seen) > 30
    assert all(cursor == count for cursor, count in seen), seen


def test_what_has_files_to_bring_to_the_disk_does_so_before_each_checkpoint(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[int] = []

    def flush(_: CsvWork) -> None:
        flushed.append(len(handed_on.by))

    monkeypatch.setattr(CsvWork, "flush", flush)
    env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert flushed == [0, 1, 2, 3, 4]
    assert handed_on.by_committer() == 0


def test_what_a_run_that_has_no_room_left_has_handed_on_is_committed(
    env: Environment, handed_on: HandedOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    shortages, check = [], Runner._check_room

    def short(self: Runner) -> None:
        shortages.append(1)
        if len(shortages) == 3:
            raise runner.NoRoom("no room, on purpose")
        check(self)

    monkeypatch.setattr(Runner, "_check_room", short)
    job = env.wait_for(submit(env, ROWS), State.SUCCEEDED)
    assert numbers(env, job) == list(range(1, 101))
    assert job.done == 100
    assert job.attempt > 1
    assert handed_on.abandoned == [True]
