"""Rollback: what a job has made is removed, whatever the job is doing, and nothing else is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest
from flask import Flask

from jobsvc.jobs.errors import CantRollBack, NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.builtin import create_export
from jobsvc.kinds.builtin.create_export import CreateExport
from jobsvc.kinds.contract import Effects, JobContext, JobInfo, Kind
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.signals import Signals
from jobsvc.store.queries import job_rows
from jobsvc.web.routes import original
from jobsvc.web.services import Services
from tests.support.environment import WHO, Environment
from tests.support.gated import Gate, Gated
from tests.support.waiting import TIMEOUT, wait_for

pytestmark = pytest.mark.both_databases

BOB = "Bob"


@pytest.fixture
def batches() -> Iterator[Gate]:
    """A gate before each batch of a rollback, outside of its transaction. It is open at the end."""
    gate = Gate()
    undo = Rollbacks._undo_batch

    def gated(rollbacks: Rollbacks, job: Job, signals: Signals) -> State | None:
        gate.pass_through()
        return undo(rollbacks, job, signals)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rollbacks, "_undo_batch", gated)
        yield gate
        gate.open()


def paused(env: Environment, items: int = 4, **params: Any) -> Job:
    """A job that was paused behind its `items`-th item."""
    job = env.submit_reached(items, **params)
    env.service.pause(job.id, WHO, 0)
    env.gated.gate.open(1)
    job = env.wait_for(job, State.PAUSED)
    env.wait_left(job)
    return job


def succeeded(env: Environment, count: int = 5) -> Job:
    job = env.submit_reached(count, count=count)
    env.gated.gate.open(1)
    return env.wait_for(job, State.SUCCEEDED)


def assert_rolled_back(env: Environment, job: Job) -> Job:
    after = env.job(job)
    assert (after.state, after.rolled_back, after.rollback) == (State.TERMINATED, True, None)
    assert (after.done, after.position, after.error) == (0, 0, None)
    with env.database.read() as connection:
        assert job_rows.place(connection, job.key)["cursor"] is None
    assert after.finished_at is not None
    assert after.rollback_percent == 100.0
    assert env.rows(job) == []
    return after


# Whatever the job is doing.


def held_back(env: Environment, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set when a rollback has looked for a run that is in its way, and found one."""
    looked, under_way = Event(), env.rollbacks.claims.under_way

    def look() -> Collection[int] | None:
        found = under_way()
        if found is None or found:
            looked.set()
        return found

    monkeypatch.setattr(env.rollbacks.claims, "under_way", look)
    return looked


def test_a_rollback_begins_when_the_run_has_left_which_leaves_no_effect(
    env: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = held_back(env, monkeypatch)
    other = succeeded(env)
    job = env.submit_reached(4)
    assert env.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    assert looked.wait(TIMEOUT)
    # All this time its run stands at an item.
    assert (env.job(job).rollback, env.job(job).attempt, env.rows(job)) == ("wanted", 1, [1, 2, 3])
    reached = env.gated.gate.reached
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)
    env.wait_left(job)
    assert env.gated.gate.reached == reached, "an item was begun after the rollback was asked for"
    assert env.rows(job) == []
    assert env.rows(other) == [1, 2, 3, 4, 5]
    assert env.history(job)[2:] == [("running", "terminating", BOB), ("terminating", "terminated", "run")]
    assert env.service.events(job.id)[2]["why"] == "rollback was asked for"


class Outside(RowKind):
    """Has some items at once on the outside, where a test holds them."""

    name = "outside"
    takes_file = False
    concurrency = 3
    undo = Gated.undo

    def __init__(self) -> None:
        self.gate = Gate()
        self.seen: list[int] = []
        """How many items were under way whenever a job was terminated."""
        self._guard, self._under_way = Lock(), 0

    def source(self, context: JobContext, after: Any) -> Source:
        return Source((number, number) for number in range(9))

    def process(self, row: Any, item: Item) -> None:
        with self._guard:
            self._under_way += 1
        self.gate.pass_through()
        with self._guard:
            self._under_way -= 1

    def on_terminate(self, job: JobInfo) -> None:
        with self._guard:
            self.seen.append(self._under_way)


@pytest.mark.parametrize("rollback", [True, False])
def test_of_items_that_are_under_way_at_once_none_is_when_their_job_has_ended(
    make_env: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch, rollback: bool
) -> None:
    kind = Outside()
    env = make_env(kinds=[kind])
    looked = held_back(env, monkeypatch)
    job = env.submit_as(kind.name)
    kind.gate.wait_reached(3)
    assert env.service.terminate(job.id, BOB, 0, rollback=rollback).state is State.TERMINATING
    if rollback:
        assert looked.wait(TIMEOUT)
    kind.gate.open(1)
    kind.gate.open()
    env.wait_for(job, State.TERMINATED)
    env.close()
    assert kind.seen == [0]
    assert kind.gate.reached == 3, "an item was begun after the job was to end"


def test_a_rollback_waits_for_the_run_of_its_own_job_and_for_no_other(
    make_env: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(slots=2)
    looked = held_back(env, monkeypatch)
    done = succeeded(env)
    stuck = env.submit_reached(2)
    env.service.terminate(stuck.id, BOB, 0, rollback=True)
    assert looked.wait(TIMEOUT)
    assert env.service.roll_back(done.id, BOB, TIMEOUT).rolled_back
    assert env.job(stuck).rollback == "wanted"


def test_a_rollback_waits_for_a_run_that_is_claimed_but_has_not_begun(
    make_env: Callable[..., Environment], monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed, go_on = Event(), Event()

    def claiming(claim: Callable[[], Job | None]) -> Callable[[], Job | None]:
        def held() -> Job | None:
            job = claim()
            if job is not None:
                claimed.set()
                assert go_on.wait(TIMEOUT)
            return job

        return held

    env = make_env(claiming=claiming)
    looked = held_back(env, monkeypatch)
    monkeypatch.setattr(env.engine, "signal", lambda key, attempt: True)
    job = env.submit()
    assert claimed.wait(TIMEOUT)
    env.service.terminate(job.id, BOB, 0, rollback=True)
    assert looked.wait(TIMEOUT)
    assert env.job(job).rollback == "wanted"
    go_on.set()
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


def test_what_a_run_wants_to_commit_after_the_rollback_was_asked_for_has_no_effect(
    env: Environment, batches: Gate
) -> None:
    job = env.submit_reached(4)
    assert env.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    env.gated.gate.open()
    batches.wait_reached(1)
    # The rollback is claimed and has undone nothing yet.
    assert env.rows(job) == [1, 2, 3]
    assert env.job(job).state is State.TERMINATING
    batches.open()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


def test_a_run_that_commits_before_the_rollback_is_claimed_is_fenced_off_too(
    make_env: Callable[..., Environment],
) -> None:
    env = make_env(start=False)
    env.engine.start()
    job = env.submit_reached(4)
    assert env.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    env.gated.gate.open()
    env.wait_left(job)
    assert env.rows(job) == [1, 2, 3]
    assert env.job(job).state is State.TERMINATING, "it is not for the run to end what is to be rolled back"
    env.rollback_engine.start()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


def test_a_job_that_is_pausing_is_rolled_back(env: Environment) -> None:
    job = env.submit_reached(3)
    assert env.service.pause(job.id, BOB, 0).state is State.PAUSING
    env.service.terminate(job.id, BOB, 0, rollback=True)
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


def test_a_job_that_is_terminating_already_is_rolled_back(env: Environment) -> None:
    job = env.submit_reached(3)
    assert env.service.terminate(job.id, BOB, 0).state is State.TERMINATING
    env.service.terminate(job.id, BOB, 0, rollback=True)
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


@pytest.mark.parametrize("call", ["terminate", "roll_back"])
def test_finished_jobs_are_rolled_back(env: Environment, call: str) -> None:
    other = succeeded(env)
    terminated = paused(env)
    env.service.terminate(terminated.id, BOB, TIMEOUT)
    failed = env.submit(fail_at=3)
    env.gated.gate.open(3)
    env.wait_for(failed, State.FAILED)
    for job in (succeeded(env), terminated, failed):
        assert len(env.rows(job)) >= 2
        if call == "terminate":
            env.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
        else:
            env.service.roll_back(job.id, BOB, TIMEOUT)
        assert_rolled_back(env, job)
    assert env.rows(other) == [1, 2, 3, 4, 5]
    assert env.job(other).state is State.SUCCEEDED


def test_a_paused_job_is_rolled_back_and_its_thread_ends(env: Environment) -> None:
    job = paused(env)
    thread = env.engine._live[job.key].thread
    env.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(env, job)
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_a_job_that_waits_in_the_queue_never_runs(env: Environment) -> None:
    first = env.submit_reached(1)
    job = env.submit()
    env.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(env, job)
    env.gated.gate.open()
    env.wait_for(first, State.SUCCEEDED)
    assert env.gated.gate.reached == 10
    assert env.rows(job) == []


def test_an_interrupted_job_is_rolled_back(make_env: Callable[..., Environment]) -> None:
    env = make_env()
    job = env.submit_reached(3)
    env.begin_shut_down()
    env.gated.gate.open()
    assert env.engine.shut_down(TIMEOUT) == []
    again = make_env(start=False)
    assert again.job(job).state is State.INTERRUPTED
    again.start()
    again.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(again, job)


@pytest.mark.parametrize("ask", ["paused", "running", "queued"])
def test_roll_back_is_for_jobs_that_are_over(env: Environment, ask: str) -> None:
    job = paused(env) if ask == "paused" else env.submit_reached(1)
    if ask == "queued":
        job = env.submit()
    with pytest.raises(NotAllowed):
        env.service.roll_back(job.id, BOB, 0)
    assert env.job(job).rollback is None


def test_asking_again_is_harmless(env: Environment, batches: Gate) -> None:
    job = succeeded(env)
    asked = [env.service.roll_back(job.id, BOB, 0) for _ in range(2)]
    asked.append(env.service.terminate(job.id, BOB, 0))
    assert [one.state for one in asked] == [State.TERMINATING] * 3
    batches.open()
    env.wait_for(job, State.TERMINATED)
    after = assert_rolled_back(env, job)
    lines = env.history(job)
    assert env.service.roll_back(job.id, BOB, TIMEOUT) == after
    assert env.service.terminate(job.id, BOB, TIMEOUT) == after
    assert env.history(job) == lines
    with pytest.raises(NotAllowed):
        env.service.resume(job.id, BOB, 0)


# While it goes on.


def test_progress_goes_from_0_to_100_while_the_latest_items_go_first(env: Environment, batches: Gate) -> None:
    job = succeeded(env, 4)
    assert job.rollback_percent is None
    assert env.service.roll_back(job.id, BOB, 0).state is State.TERMINATING
    batches.wait_reached(1)
    for undone in range(4):
        now = env.job(job)
        assert (now.done, now.rollback_percent, now.rollback_removed) == (4 - undone, 25.0 * undone, undone)
        assert env.rows(job) == list(range(1, 5 - undone))
        batches.open(1)
        batches.wait_reached(undone + 2)
    batches.open(1)
    env.wait_for(job, State.TERMINATED)
    assert_rolled_back(env, job)


def test_a_rollback_waits_for_no_slot_and_other_jobs_go_on_meanwhile(env: Environment, batches: Gate) -> None:
    job = paused(env)
    running = env.submit_reached(1)
    assert env.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    batches.wait_reached(1)
    env.gated.gate.open(3)
    env.gated.gate.wait_reached(8)
    assert env.rows(running) == [1, 2, 3]
    batches.open()
    env.wait_for(job, State.TERMINATED)
    assert env.rows(running) == [1, 2, 3]


def test_a_rollback_that_is_interrupted_goes_on_at_the_next_start(
    make_env: Callable[..., Environment], batches: Gate
) -> None:
    env = make_env()
    other, job = succeeded(env), succeeded(env)
    assert env.service.roll_back(job.id, BOB, 0).state is State.TERMINATING
    batches.open(2)
    batches.wait_reached(3)
    env.begin_shut_down()
    batches.open(1)
    assert env.rollback_engine.shut_down(TIMEOUT) == []
    handed_back = env.job(job)
    assert (handed_back.state, handed_back.rollback, handed_back.done) == (State.TERMINATING, "wanted", 2)
    assert env.rows(job) == [1, 2]
    env.close()
    again = make_env(start=False)
    again.recover()
    assert again.job(job).rollback_percent == 60.0
    batches.open()
    again.start()
    again.wait_for(job, State.TERMINATED)
    assert_rolled_back(again, job)
    assert again.rows(other) == [1, 2, 3, 4, 5]


@pytest.mark.sqlite_only
def test_a_rollback_that_died_with_its_process_goes_on_at_the_next_start(
    make_env: Callable[..., Environment], batches: Gate, tmp_path: Path
) -> None:
    """The directory is copied while the rollback stands between two batches: what a power cut would leave."""
    env = make_env()
    job = succeeded(env)
    env.service.roll_back(job.id, BOB, 0)
    batches.open(1)
    batches.wait_reached(2)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    batches.open()
    again = make_env(tmp_path / "copy", start=False)
    assert (again.job(job).rollback, again.rows(job)) == ("running", [1, 2, 3, 4])
    again.recover()
    again.start()
    again.wait_for(job, State.TERMINATED)
    assert_rolled_back(again, job)


def test_a_rollback_can_be_waited_for_and_seen_through_http(
    app: Flask, services: Services, gated: Gated, batches: Gate
) -> None:
    client = app.test_client()
    gated.gate.open()
    made = client.post("/kinds/gated/jobs", json={"count": 2})
    job_id = made.get_json()["id"]
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.get(f"/jobs/{job_id}").get_json()["rollback"] is None
    answer = client.post(f"/jobs/{job_id}/rollback?wait=0")
    assert (answer.status_code, answer.get_json()["state"]) == (202, "terminating")
    batches.open(1)
    batches.wait_reached(2)
    assert client.get(f"/jobs/{job_id}").get_json()["rollback"] == {"percent": 50.0, "removed": 1, "left": 1}
    batches.open()
    answer = client.post(f"/jobs/{job_id}/rollback")
    job = answer.get_json()
    assert (answer.status_code, job["state"], job["rolled_back"]) == (200, "terminated", True)
    assert (job["rollback"], job["progress"]["done"]) == ({"percent": 100.0, "removed": 2, "left": 0}, 0)
    assert client.get(f"/records?job={job_id}").get_json()["records"] == []


@pytest.mark.parametrize("given", [{"json": {"rollback": True}}, {"data": {"rollback": "true"}}])
def test_terminate_takes_rollback_as_json_and_as_a_form(
    app: Flask, services: Services, gated: Gated, given: dict[str, Any]
) -> None:
    client = app.test_client()
    gated.gate.open()
    job_id = client.post("/kinds/gated/jobs", json={"count": 2}).get_json()["id"]
    wait_for(services, job_id, State.SUCCEEDED)
    assert client.post(f"/jobs/{job_id}/terminate").status_code == 409
    job = client.post(f"/jobs/{job_id}/terminate", **given).get_json()
    assert (job["state"], job["rolled_back"]) == ("terminated", True)


def test_update_task_terminates_with_rollback(
    app: Flask, services: Services, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(original, "ACKNOWLEDGE_SECONDS", 0.0)
    client = app.test_client()
    job_id = client.post("/kinds/gated/jobs", json={"count": 2}).get_json()["id"]
    gated.gate.open(1)
    gated.gate.wait_reached(2)
    ask = f"/updateTask?id={job_id}&action=terminate&rollback=true"
    assert client.post(ask).status_code == 202
    gated.gate.open()
    wait_for(services, job_id, State.TERMINATED)
    answer = client.post(ask)
    assert (answer.status_code, answer.get_json()) == (200, {"status": f"Job {job_id} terminated."})
    assert services.jobs.get(job_id).rolled_back


# Kinds that can't, and undo that breaks.


class CantUndo(Gated):
    name = "cantUndo"
    undo = Kind.undo


class Fragile(Gated):
    """Its undo breaks after the first item, until it is mended."""

    name = "fragile"

    def __init__(self) -> None:
        super().__init__()
        self.mended = False
        self.calls = 0
        self.told: list[JobInfo] = []

    def undo(self, effects: Effects, limit: int) -> int:
        self.calls += 1
        if self.calls == 2 and not self.mended:
            super().undo(effects, limit)
            raise RuntimeError("the disk is away")
        return super().undo(effects, limit)

    def on_terminate(self, job: JobInfo) -> None:
        self.told.append(job)


def test_a_kind_without_undo_can_not_be_rolled_back_and_nothing_happens_to_its_job(
    make_env: Callable[..., Environment],
) -> None:
    kind = CantUndo()
    env = make_env(kinds=[kind])
    job = env.submit_as(kind.name, count=3)
    kind.gate.open(1)
    kind.gate.wait_reached(2)
    with pytest.raises(CantRollBack):
        env.service.terminate(job.id, BOB, 0, rollback=True)
    assert env.job(job).state is State.RUNNING
    kind.gate.open()
    env.wait_for(job, State.SUCCEEDED)
    with pytest.raises(CantRollBack):
        env.service.roll_back(job.id, BOB, 0)
    assert env.rows(job) == [1, 2, 3]


def test_an_undo_that_raises_ends_the_rollback_says_so_and_can_be_asked_for_again(
    make_env: Callable[..., Environment],
) -> None:
    kind = Fragile()
    env = make_env(kinds=[kind])
    kind.gate.open()
    job = env.submit_as(kind.name, count=4)
    env.wait_for(job, State.SUCCEEDED)
    after = env.service.roll_back(job.id, BOB, TIMEOUT)
    assert (after.state, after.rolled_back, after.rollback) == (State.TERMINATED, False, None)
    assert after.error == "the rollback failed: RuntimeError: the disk is away"
    assert env.rows(job) == [1, 2, 3], "the batch that broke was not undone by half"
    assert after.done == 3
    kind.mended = True
    env.service.roll_back(job.id, BOB, TIMEOUT)
    assert_rolled_back(env, job)


def test_the_hook_of_the_kind_is_told_once_the_rollback_is_over(make_env: Callable[..., Environment]) -> None:
    kind = Fragile()
    kind.mended = True
    env = make_env(kinds=[kind])
    job = env.submit_as(kind.name, count=4)
    kind.gate.open(2)
    kind.gate.wait_reached(3)
    env.service.terminate(job.id, BOB, 0, rollback=True)
    kind.gate.open()
    env.wait_for(job, State.TERMINATED)
    env.close()
    assert [info.id for info in kind.told] == [job.id]


# Files.


@pytest.fixture
def export_house(make_env: Callable[..., Environment]) -> Environment:
    return make_env(kinds=[CreateExport()])


JANUARY = {"from": "2026-01-01", "to": "2026-01-03"}


def files_of(env: Environment, job: Job) -> list[str]:
    return [path.name for path in env.files.directory.glob(f"{job.id}*")]


@pytest.mark.parametrize("call", ["terminate", "roll_back"])
def test_the_rollback_of_an_export_removes_its_file_and_no_record(export_house: Environment, call: str) -> None:
    env = export_house
    records = succeeded(env)
    other = env.submit_as("createExport", **JANUARY)
    env.wait_for(other, State.SUCCEEDED)
    job = env.submit_as("createExport", **JANUARY)
    env.wait_for(job, State.SUCCEEDED)
    assert files_of(env, job) == [f"{job.id}.output"]
    if call == "terminate":
        env.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    else:
        env.service.roll_back(job.id, BOB, TIMEOUT)
    assert_rolled_back(env, job)
    assert files_of(env, job) == []
    assert files_of(env, other) == [f"{other.id}.output"]
    assert env.rows(records) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("held", ["open", "process", "flush", "finish"])
@pytest.mark.parametrize("rollback", [True, False])
def test_a_run_of_an_export_that_goes_on_after_its_job_was_ended_leaves_no_file(
    export_house: Environment, monkeypatch: pytest.MonkeyPatch, held: str, rollback: bool
) -> None:
    gate = Gate()
    target: Any = CreateExport if held == "open" else create_export._Export
    step = getattr(target, held)

    def gated(self: Any, *arguments: Any) -> Any:
        gate.pass_through()
        return step(self, *arguments)

    monkeypatch.setattr(target, held, gated)
    env = export_house
    job = env.submit_as("createExport", **JANUARY)
    gate.wait_reached(1)
    job = env.job(job)
    asked = env.service.terminate(job.id, BOB, 0, rollback=rollback)
    assert asked.state is State.TERMINATING
    gate.open()
    env.wait_for(job, State.TERMINATED)
    env.wait_left(job)
    assert files_of(env, job) == []
    assert env.job(job).rolled_back is rollback
