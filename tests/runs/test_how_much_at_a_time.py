"""How much a run takes at a time: more while it is alone, and little once it is to stop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.batch import Batch
from jobsvc.kinds.builtin.baseline_csv import _Records
from jobsvc.kinds.work import Taken, Work
from jobsvc.runs.checkpoints.pending import Written
from jobsvc.runs.checkpoints.writer import PART_ITEMS, CheckpointWriter
from jobsvc.runs.runner import BATCH_ITEMS, BATCHES_ALONE, FEW_ITEMS, PARTS_ALONE
from jobsvc.service.new_job import NewJob
from tests.support.environment import WHO, Environment

ROWS = 3 * BATCH_ITEMS * BATCHES_ALONE


@pytest.fixture
def env(make_env: Callable[..., Environment]) -> Environment:
    return make_env(slots=2)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each checkpoint of an import has taken."""
    found: list[int] = []
    note = CheckpointWriter.note

    def noting(self: CheckpointWriter, written: Written) -> None:
        if self.kind.name == "baselineCSV":
            found.append(written.items)
        note(self, written)

    monkeypatch.setattr(CheckpointWriter, "note", noting)
    return found


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items each part has had."""
    found: list[int] = []
    apply = _Records.apply

    def noting(self: _Records, effects: object, items: list[object]) -> object:
        found.append(len(items))
        return apply(self, effects, items)  # type: ignore[arg-type]

    monkeypatch.setattr(_Records, "apply", noting)
    return found


def submit(env: Environment) -> Job:
    job_id = env.service.new_id(WHO, "baselineCSV")
    env.files.input(job_id).write_text("date,n\n" + "2026-01-01,1\n" * ROWS)
    return env.service.submit(NewJob(id=job_id, kind="baselineCSV", user=WHO, params={}))


def test_to_stop_with_a_batch_that_was_just_read(
    env: Environment, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody waits, and the batch has had no effect: little of it is committed, and the rest when it goes on."""
    take = Work.take

    def stopped(self: Work, batch: Batch, should_stop: Callable[[], bool]) -> Taken:
        env.ask_for(job, State.PAUSING)
        return take(self, batch, should_stop)._replace(stopped=True)

    monkeypatch.setattr(Work, "take", stopped)
    job = submit(env)
    assert env.wait_for(job, State.PAUSED).done == FEW_ITEMS
    monkeypatch.setattr(Work, "take", take)
    env.service.resume(job.id, WHO, 0)
    assert env.wait_for(job, State.SUCCEEDED).done == ROWS
    assert env.rows(job) == list(range(1, ROWS + 1))


def test_alone(env: Environment, batches: list[int], parts: list[int]) -> None:
    assert env.wait_for(submit(env), State.SUCCEEDED).done == ROWS
    assert (max(batches), max(parts)) == (BATCH_ITEMS * BATCHES_ALONE, PART_ITEMS * PARTS_ALONE)


def test_beside_another(env: Environment, batches: list[int], parts: list[int]) -> None:
    other = env.submit_reached(1)
    assert env.wait_for(submit(env), State.SUCCEEDED).done == ROWS
    assert (max(batches), max(parts)) == (BATCH_ITEMS, PART_ITEMS)
    env.gated.gate.open()
    env.wait_for(other, State.SUCCEEDED)
    batches.clear()
    assert env.wait_for(submit(env), State.SUCCEEDED).done == ROWS
    assert max(batches) == BATCH_ITEMS * BATCHES_ALONE, "the other one has left"
