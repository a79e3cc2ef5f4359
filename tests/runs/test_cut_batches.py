"""Checkpoints of batches that are cut short, since somebody else is in a hurry; and batches that are read ahead."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.builtin import baseline_csv, bulk_team
from jobsvc.kinds.contract import Work
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.checkpoints.pending import Written
from jobsvc.runs.checkpoints.writer import CheckpointWriter
from jobsvc.service.new_job import NewJob
from jobsvc.store.queries import job_rows, refused_rows
from jobsvc.store.tables import jobs, records, team_members, teams
from tests.support import batches
from tests.support.environment import WHO, Environment
from tests.support.gated import Gate
from tests.support.handed_on import HandedOn

ODD_ROWS = (
    "2026-01-01,plain,1",
    '2026-01-02,"quoted, with a delimiter",2',
    '2026-01-03,"on two\nlines",3',
    "no date,refused,4",
    "2026-01-04,too few",
    "",
    "2026-01-05,too,many,5",
)


def odd_file(rows: int, seed: int) -> str:
    chance = random.Random(seed)
    return "date,text,number\n" + "".join(f"{chance.choice(ODD_ROWS)}\n" for _ in range(rows))


def team_file(rows: int, seed: int) -> str:
    chance = random.Random(seed)
    names = (chance.choice(["", "again", f"team {row}"]) for row in range(rows))
    return "team,a,b\n" + "".join(f"{name},x{row},y\n" for row, name in enumerate(names, 1))


ROWS = "date,n\n" + "".join(f"2026-01-01,{row}\n" for row in range(1, 101))


def submit(env: Environment, content: str, kind: str = "baselineCSV", **params: Any) -> Job:
    job_id = env.service.new_id(WHO, kind)
    env.files.input(job_id).write_text(content)
    return env.service.submit(NewJob(id=job_id, kind=kind, user=WHO, params=params))


def rows_of(env: Environment, job: Job) -> list[Any]:
    """All that the job has put into tables of kinds."""
    mine = select(records.c.row, records.c.date, records.c.data).where(records.c.job_key == job.key)
    members = (
        select(teams.c.row, teams.c.name, team_members.c.name)
        .join(team_members, team_members.c.team_id == teams.c.id)
        .where(teams.c.job_key == job.key)
        .order_by(teams.c.row, team_members.c.position)
    )
    with env.database.read() as connection:
        found = [*connection.execute(mine.order_by(records.c.row)), *connection.execute(members)]
    return list(map(tuple, found))


def made(env: Environment, job: Job) -> tuple[Any, ...]:
    """How the job stands, and what it has made, without what is another's for each job."""
    now = env.job(job)
    with env.database.read() as connection:
        refused = [{**row, "job_key": 0} for row in refused_rows.of_job(connection, job.key, 0, 10_000)]
        reasons = sorted((row["reason"], row["count"]) for row in refused_rows.counts(connection, job.key))
        cursor = job_rows.place(connection, job.key)["cursor"]
    return (now.state, now.done, now.failed, now.blank, cursor, refused, reasons, rows_of(env, job))


def note_checkpoints(monkeypatch: pytest.MonkeyPatch, see: Callable[[CheckpointWriter, Written], object]) -> None:
    """Have each checkpoint seen, right after its commit."""
    note = CheckpointWriter.note

    def seen(self: CheckpointWriter, written: Written) -> None:
        see(self, written)
        note(self, written)

    monkeypatch.setattr(CheckpointWriter, "note", seen)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Has somebody in a hurry from then on: each checkpoint takes three items. Returns how many they took."""

    def begin() -> list[int]:
        noted: list[int] = []
        note_checkpoints(monkeypatch, lambda _, written: noted.append(written.items))
        batches.cut_short(monkeypatch)
        return noted

    return begin


@pytest.fixture(params=["as it comes", "always handed on"])
def handed_on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> HandedOn | None:
    """Whether the thread that commits begins the checkpoint that follows, wherever it may."""
    if request.param == "as it comes":
        return None
    handed_on = HandedOn()
    handed_on.put_in(monkeypatch)
    return handed_on


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    batches.make_small(monkeypatch)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("kind", "file"), [("baselineCSV", odd_file), ("bulkTeam", team_file)])
def test_cut_batches_make_what_whole_ones_make(
    make_env: Callable[..., Environment],
    tmp_path: Path,
    hurry: Callable[[], list[int]],
    kind: str,
    file: Callable[[int, int], str],
    seed: int,
    handed_on: HandedOn | None,
) -> None:
    content = file(90, seed)
    whole, cut = make_env(tmp_path / "whole"), make_env(tmp_path / "cut")
    found = made(whole, whole.wait_for(submit(whole, content, kind), State.SUCCEEDED))
    sizes = hurry()
    assert made(cut, cut.wait_for(submit(cut, content, kind), State.SUCCEEDED)) == found
    assert max(sizes) <= 3
    assert found[-1]


def test_after_each_checkpoint_the_cursor_stands_right_behind_what_is_there(
    env: Environment, hurry: Callable[[], list[int]], handed_on: HandedOn | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def look(writer: CheckpointWriter, _: Written) -> None:
        key = writer.job.key
        with env.database.read() as connection:
            cursor = job_rows.place(connection, key)["cursor"]
            done, failed = connection.execute(select(jobs.c.done, jobs.c.failed).where(jobs.c.key == key)).one()
            mine = select(func.count(), func.max(records.c.row)).where(records.c.job_key == key)
            count, last = connection.execute(mine).one()
        seen.append((cursor["row"] - 1 - done - failed, count - done, cursor["row"] - (last or 0), cursor["row"]))

    hurry()
    note_checkpoints(monkeypatch, look)
    env.wait_for(submit(env, odd_file(100, 1)), State.SUCCEEDED)
    assert len(seen) > 10
    assert {(at, count) for at, count, _, _ in seen} == {(0, 0)}
    assert min(behind for _, _, behind, _ in seen) > 0


def test_the_row_that_is_one_refused_too_many_is_the_last_also_where_batches_are_cut(
    env: Environment, hurry: Callable[[], list[int]], handed_on: HandedOn | None
) -> None:
    hurry()
    content = "date,n\n" + "".join(f"{'2026-01-01' if row % 5 else 'never'},{row}\n" for row in range(1, 100))
    job = env.wait_for(submit(env, content, max_failed=3), State.FAILED)
    assert (job.done, job.failed) == (16, 4)
    with env.database.read() as connection:
        assert job_rows.place(connection, job.key)["cursor"]["row"] == 21


@pytest.fixture
def commits_held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """A gate before the transaction of each batch."""
    gate, begun = Gate(), Checkpoints._begun

    def held(self: Checkpoints, *arguments: Any) -> Any:
        gate.pass_through()
        return begun(self, *arguments)

    monkeypatch.setattr(Checkpoints, "_begun", held)
    yield gate
    gate.open()


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Counts the batches that were taken."""
    gate, take = Gate(), Work.take
    gate.open()

    def counted(self: Work, *arguments: Any) -> Any:
        found = take(self, *arguments)
        gate.pass_through()
        return found

    monkeypatch.setattr(Work, "take", counted)
    return gate


def test_the_next_batch_is_read_while_one_is_committed_and_has_no_effect_if_that_obeys(
    env: Environment, commits_held: Gate, taken: Gate
) -> None:
    job = submit(env, ROWS)
    commits_held.wait_reached(1)
    with env.database.write():
        # The first batch is handed over, and waits for this transaction.
        commits_held.open(1)
        taken.wait_reached(2)
    env.commits.wait_for(lambda: env.job(job).done == 20, "the first batch to be committed")
    commits_held.wait_reached(2)
    with env.database.write():
        commits_held.open(1)
        taken.wait_reached(3)
    env.ask_for(job, State.PAUSING)
    commits_held.open()
    job = env.wait_for(job, State.PAUSED)
    assert job.done in (40, 60)
    assert [row[0] for row in rows_of(env, job)] == list(range(1, job.done + 1))
    with env.database.read() as connection:
        assert job_rows.place(connection, job.key)["cursor"]["row"] == job.done + 1


def test_a_batch_of_an_attempt_that_is_none_any_more_leaves_nothing_in_a_transaction_that_others_share(
    make_env: Callable[..., Environment], commits_held: Gate
) -> None:
    env = make_env(slots=2)
    lost, other = submit(env, ROWS), submit(env, ROWS)
    commits_held.wait_reached(2)
    with env.database.write() as connection:
        connection.execute(jobs.update().where(jobs.c.key == lost.key).values(attempt=7))
        commits_held.open()
        while len(env.database._committer._waiting) < 1:  # type: ignore[attr-defined]
            pass
    env.wait_for(other, State.SUCCEEDED)
    env.wait_left(lost)
    assert rows_of(env, lost) == []
    assert [row[0] for row in rows_of(env, other)] == list(range(1, 101))


def test_a_batch_that_fails_takes_no_other_with_it(
    make_env: Callable[..., Environment], commits_held: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(slots=3)
    apply = baseline_csv._Records.apply

    def breaks(self: Any, effects: Any, items: Any) -> Any:
        found = apply(self, effects, items)
        if effects.job_key == broken.key:
            raise ZeroDivisionError("broken on purpose")
        return found

    first, broken, last = submit(env, ROWS), submit(env, ROWS), submit(env, ROWS)
    monkeypatch.setattr(baseline_csv._Records, "apply", breaks)
    commits_held.wait_reached(3)
    with env.database.write():
        commits_held.open()
    env.wait_for(broken, State.FAILED)
    for job in (first, last):
        env.wait_for(job, State.SUCCEEDED)
        assert [row[0] for row in rows_of(env, job)] == list(range(1, 101))
    assert rows_of(env, broken) == []


def test_the_kinds_that_read_ahead_are_those_whose_items_have_no_effect_before_the_checkpoint() -> None:
    for work in (baseline_csv._Records, bulk_team._Teams):
        assert work.reads_ahead
        assert not work.acts_at_once()
    assert not Work.reads_ahead
