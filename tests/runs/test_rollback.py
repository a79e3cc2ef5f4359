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
from jobsvc.kinds.builtin import create_export
from jobsvc.kinds.builtin.create_export import CreateExport
from jobsvc.kinds.contract import Effects, JobContext, JobInfo, Kind
from jobsvc.kinds.row_kind import Item, RowKind, Source
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.signals import Signals
from jobsvc.store.queries import job_rows
from jobsvc.web.routes import original
from jobsvc.web.services import Services
from tests.support.gated import TIMEOUT, Gate, Gated
from tests.support.house import WHO, House
from tests.support.waiting import wait_for

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


def paused(house: House, items: int = 4, **params: Any) -> Job:
    """A job that was paused behind its `items`-th item."""
    job = house.submit_reached(items, **params)
    house.service.pause(job.id, WHO, 0)
    house.gated.gate.open(1)
    job = house.wait_for(job, State.PAUSED)
    house.wait_left(job)
    return job


def succeeded(house: House, count: int = 5) -> Job:
    job = house.submit_reached(count, count=count)
    house.gated.gate.open(1)
    return house.wait_for(job, State.SUCCEEDED)


def assert_rolled_back(house: House, job: Job) -> Job:
    after = house.job(job)
    assert (after.state, after.rolled_back, after.rollback) == (State.TERMINATED, True, None)
    assert (after.done, after.position, after.error) == (0, 0, None)
    with house.database.read() as connection:
        assert job_rows.place(connection, job.key)["cursor"] is None
    assert after.finished_at is not None
    assert after.rollback_percent == 100.0
    assert house.rows(job) == []
    return after


# Whatever the job is doing.


def held_back(house: House, monkeypatch: pytest.MonkeyPatch) -> Event:
    """Set when a rollback has looked for a run that is in its way, and found one."""
    looked, under_way = Event(), house.rollbacks.under_way

    def look() -> Collection[int] | None:
        found = under_way()
        if found is None or found:
            looked.set()
        return found

    monkeypatch.setattr(house.rollbacks, "under_way", look)
    return looked


def test_a_rollback_begins_when_the_run_has_left_which_leaves_no_effect(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = held_back(house, monkeypatch)
    other = succeeded(house)
    job = house.submit_reached(4)
    assert house.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    assert looked.wait(TIMEOUT)
    # All this time its run stands at an item.
    assert (house.job(job).rollback, house.job(job).attempt, house.rows(job)) == ("wanted", 1, [1, 2, 3])
    reached = house.gated.gate.reached
    house.gated.gate.open()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)
    house.wait_left(job)
    assert house.gated.gate.reached == reached, "an item was begun after the rollback was asked for"
    assert house.rows(job) == []
    assert house.rows(other) == [1, 2, 3, 4, 5]
    assert house.history(job)[2:] == [("running", "terminating", BOB), ("terminating", "terminated", "run")]
    assert house.service.events(job.id)[2]["why"] == "rollback was asked for"


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
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, rollback: bool
) -> None:
    kind = Outside()
    house = make_house(kinds=[kind])
    looked = held_back(house, monkeypatch)
    job = house.submit_as(kind.name)
    kind.gate.wait_reached(3)
    assert house.service.terminate(job.id, BOB, 0, rollback=rollback).state is State.TERMINATING
    if rollback:
        assert looked.wait(TIMEOUT)
    kind.gate.open(1)
    kind.gate.open()
    house.wait_for(job, State.TERMINATED)
    house.close()
    assert kind.seen == [0]
    assert kind.gate.reached == 3, "an item was begun after the job was to end"


def test_a_rollback_waits_for_the_run_of_its_own_job_and_for_no_other(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(slots=2)
    looked = held_back(house, monkeypatch)
    done = succeeded(house)
    stuck = house.submit_reached(2)
    house.service.terminate(stuck.id, BOB, 0, rollback=True)
    assert looked.wait(TIMEOUT)
    assert house.service.roll_back(done.id, BOB, TIMEOUT).rolled_back
    assert house.job(stuck).rollback == "wanted"


def test_a_rollback_waits_for_a_run_that_is_claimed_but_has_not_begun(
    make_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
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

    house = make_house(claiming=claiming)
    looked = held_back(house, monkeypatch)
    monkeypatch.setattr(house.engine, "signal", lambda key, attempt: True)
    job = house.submit()
    assert claimed.wait(TIMEOUT)
    house.service.terminate(job.id, BOB, 0, rollback=True)
    assert looked.wait(TIMEOUT)
    assert house.job(job).rollback == "wanted"
    go_on.set()
    house.gated.gate.open()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


def test_what_a_run_wants_to_commit_after_the_rollback_was_asked_for_has_no_effect(house: House, batches: Gate) -> None:
    job = house.submit_reached(4)
    assert house.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    house.gated.gate.open()
    batches.wait_reached(1)
    # The rollback is claimed and has undone nothing yet.
    assert house.rows(job) == [1, 2, 3]
    assert house.job(job).state is State.TERMINATING
    batches.open()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


def test_a_run_that_commits_before_the_rollback_is_claimed_is_fenced_off_too(make_house: Callable[..., House]) -> None:
    house = make_house(start=False)
    house.engine.start()
    job = house.submit_reached(4)
    assert house.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    house.gated.gate.open()
    house.wait_left(job)
    assert house.rows(job) == [1, 2, 3]
    assert house.job(job).state is State.TERMINATING, "it is not for the run to end what is to be rolled back"
    house.rollback_engine.start()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


def test_a_job_that_is_pausing_is_rolled_back(house: House) -> None:
    job = house.submit_reached(3)
    assert house.service.pause(job.id, BOB, 0).state is State.PAUSING
    house.service.terminate(job.id, BOB, 0, rollback=True)
    house.gated.gate.open()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


def test_a_job_that_is_terminating_already_is_rolled_back(house: House) -> None:
    job = house.submit_reached(3)
    assert house.service.terminate(job.id, BOB, 0).state is State.TERMINATING
    house.service.terminate(job.id, BOB, 0, rollback=True)
    house.gated.gate.open()
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


@pytest.mark.parametrize("call", ["terminate", "roll_back"])
def test_finished_jobs_are_rolled_back(house: House, call: str) -> None:
    other = succeeded(house)
    terminated = paused(house)
    house.service.terminate(terminated.id, BOB, TIMEOUT)
    failed = house.submit(fail_at=3)
    house.gated.gate.open(3)
    house.wait_for(failed, State.FAILED)
    for job in (succeeded(house), terminated, failed):
        assert len(house.rows(job)) >= 2
        if call == "terminate":
            house.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
        else:
            house.service.roll_back(job.id, BOB, TIMEOUT)
        assert_rolled_back(house, job)
    assert house.rows(other) == [1, 2, 3, 4, 5]
    assert house.job(other).state is State.SUCCEEDED


def test_a_paused_job_is_rolled_back_and_its_thread_ends(house: House) -> None:
    job = paused(house)
    thread = house.engine._live[job.key].thread
    house.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(house, job)
    thread.join(TIMEOUT)
    assert not thread.is_alive()


def test_a_job_that_waits_in_the_queue_never_runs(house: House) -> None:
    first = house.submit_reached(1)
    job = house.submit()
    house.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(house, job)
    house.gated.gate.open()
    house.wait_for(first, State.SUCCEEDED)
    assert house.gated.gate.reached == 10
    assert house.rows(job) == []


def test_an_interrupted_job_is_rolled_back(make_house: Callable[..., House]) -> None:
    house = make_house()
    job = house.submit_reached(3)
    house.begin_shut_down()
    house.gated.gate.open()
    assert house.engine.shut_down(TIMEOUT) == []
    again = make_house(start=False)
    assert again.job(job).state is State.INTERRUPTED
    again.start()
    again.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    assert_rolled_back(again, job)


@pytest.mark.parametrize("ask", ["paused", "running", "queued"])
def test_roll_back_is_for_jobs_that_are_over(house: House, ask: str) -> None:
    job = paused(house) if ask == "paused" else house.submit_reached(1)
    if ask == "queued":
        job = house.submit()
    with pytest.raises(NotAllowed):
        house.service.roll_back(job.id, BOB, 0)
    assert house.job(job).rollback is None


def test_asking_again_is_harmless(house: House, batches: Gate) -> None:
    job = succeeded(house)
    asked = [house.service.roll_back(job.id, BOB, 0) for _ in range(2)]
    asked.append(house.service.terminate(job.id, BOB, 0))
    assert [one.state for one in asked] == [State.TERMINATING] * 3
    batches.open()
    house.wait_for(job, State.TERMINATED)
    after = assert_rolled_back(house, job)
    lines = house.history(job)
    assert house.service.roll_back(job.id, BOB, TIMEOUT) == after
    assert house.service.terminate(job.id, BOB, TIMEOUT) == after
    assert house.history(job) == lines
    with pytest.raises(NotAllowed):
        house.service.resume(job.id, BOB, 0)


# While it goes on.


def test_progress_goes_from_0_to_100_while_the_latest_items_go_first(house: House, batches: Gate) -> None:
    job = succeeded(house, 4)
    assert job.rollback_percent is None
    assert house.service.roll_back(job.id, BOB, 0).state is State.TERMINATING
    batches.wait_reached(1)
    for undone in range(4):
        now = house.job(job)
        assert (now.done, now.rollback_percent) == (4 - undone, 25.0 * undone)
        assert house.rows(job) == list(range(1, 5 - undone))
        batches.open(1)
        batches.wait_reached(undone + 2)
    batches.open(1)
    house.wait_for(job, State.TERMINATED)
    assert_rolled_back(house, job)


def test_a_rollback_waits_for_no_slot_and_other_jobs_go_on_meanwhile(house: House, batches: Gate) -> None:
    job = paused(house)
    running = house.submit_reached(1)
    assert house.service.terminate(job.id, BOB, 0, rollback=True).state is State.TERMINATING
    batches.wait_reached(1)
    house.gated.gate.open(3)
    house.gated.gate.wait_reached(8)
    assert house.rows(running) == [1, 2, 3]
    batches.open()
    house.wait_for(job, State.TERMINATED)
    assert house.rows(running) == [1, 2, 3]


def test_a_rollback_that_is_interrupted_goes_on_at_the_next_start(
    make_house: Callable[..., House], batches: Gate
) -> None:
    house = make_house()
    other, job = succeeded(house), succeeded(house)
    assert house.service.roll_back(job.id, BOB, 0).state is State.TERMINATING
    batches.open(2)
    batches.wait_reached(3)
    house.begin_shut_down()
    batches.open(1)
    assert house.rollback_engine.shut_down(TIMEOUT) == []
    handed_back = house.job(job)
    assert (handed_back.state, handed_back.rollback, handed_back.done) == (State.TERMINATING, "wanted", 2)
    assert house.rows(job) == [1, 2]
    house.close()
    again = make_house(start=False)
    again.recover()
    assert again.job(job).rollback_percent == 60.0
    batches.open()
    again.start()
    again.wait_for(job, State.TERMINATED)
    assert_rolled_back(again, job)
    assert again.rows(other) == [1, 2, 3, 4, 5]


@pytest.mark.sqlite_only
def test_a_rollback_that_died_with_its_process_goes_on_at_the_next_start(
    make_house: Callable[..., House], batches: Gate, tmp_path: Path
) -> None:
    """The directory is copied while the rollback stands between two batches: what a power cut would leave."""
    house = make_house()
    job = succeeded(house)
    house.service.roll_back(job.id, BOB, 0)
    batches.open(1)
    batches.wait_reached(2)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    batches.open()
    again = make_house(tmp_path / "copy", start=False)
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
    assert client.get(f"/jobs/{job_id}").get_json()["rollback"] == {"percent": 50.0}
    batches.open()
    answer = client.post(f"/jobs/{job_id}/rollback")
    job = answer.get_json()
    assert (answer.status_code, job["state"], job["rolled_back"]) == (200, "terminated", True)
    assert (job["rollback"], job["progress"]["done"]) == ({"percent": 100.0}, 0)
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
    make_house: Callable[..., House],
) -> None:
    kind = CantUndo()
    house = make_house(kinds=[kind])
    job = house.submit_as(kind.name, count=3)
    kind.gate.open(1)
    kind.gate.wait_reached(2)
    with pytest.raises(CantRollBack):
        house.service.terminate(job.id, BOB, 0, rollback=True)
    assert house.job(job).state is State.RUNNING
    kind.gate.open()
    house.wait_for(job, State.SUCCEEDED)
    with pytest.raises(CantRollBack):
        house.service.roll_back(job.id, BOB, 0)
    assert house.rows(job) == [1, 2, 3]


def test_an_undo_that_raises_ends_the_rollback_says_so_and_can_be_asked_for_again(
    make_house: Callable[..., House],
) -> None:
    kind = Fragile()
    house = make_house(kinds=[kind])
    kind.gate.open()
    job = house.submit_as(kind.name, count=4)
    house.wait_for(job, State.SUCCEEDED)
    after = house.service.roll_back(job.id, BOB, TIMEOUT)
    assert (after.state, after.rolled_back, after.rollback) == (State.TERMINATED, False, None)
    assert after.error == "the rollback failed: RuntimeError: the disk is away"
    assert house.rows(job) == [1, 2, 3], "the batch that broke was not undone by half"
    assert after.done == 3
    kind.mended = True
    house.service.roll_back(job.id, BOB, TIMEOUT)
    assert_rolled_back(house, job)


def test_the_hook_of_the_kind_is_told_once_the_rollback_is_over(make_house: Callable[..., House]) -> None:
    kind = Fragile()
    kind.mended = True
    house = make_house(kinds=[kind])
    job = house.submit_as(kind.name, count=4)
    kind.gate.open(2)
    kind.gate.wait_reached(3)
    house.service.terminate(job.id, BOB, 0, rollback=True)
    kind.gate.open()
    house.wait_for(job, State.TERMINATED)
    house.close()
    assert [info.id for info in kind.told] == [job.id]


# Files.


@pytest.fixture
def export_house(make_house: Callable[..., House]) -> House:
    return make_house(kinds=[CreateExport()])


JANUARY = {"from": "2026-01-01", "to": "2026-01-03"}


def files_of(house: House, job: Job) -> list[str]:
    return [path.name for path in house.files.directory.glob(f"{job.id}*")]


@pytest.mark.parametrize("call", ["terminate", "roll_back"])
def test_the_rollback_of_an_export_removes_its_file_and_no_record(export_house: House, call: str) -> None:
    house = export_house
    records = succeeded(house)
    other = house.submit_as("createExport", **JANUARY)
    house.wait_for(other, State.SUCCEEDED)
    job = house.submit_as("createExport", **JANUARY)
    house.wait_for(job, State.SUCCEEDED)
    assert files_of(house, job) == [f"{job.id}.output"]
    if call == "terminate":
        house.service.terminate(job.id, BOB, TIMEOUT, rollback=True)
    else:
        house.service.roll_back(job.id, BOB, TIMEOUT)
    assert_rolled_back(house, job)
    assert files_of(house, job) == []
    assert files_of(house, other) == [f"{other.id}.output"]
    assert house.rows(records) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("held", ["open", "process", "flush", "finish"])
@pytest.mark.parametrize("rollback", [True, False])
def test_a_run_of_an_export_that_goes_on_after_its_job_was_ended_leaves_no_file(
    export_house: House, monkeypatch: pytest.MonkeyPatch, held: str, rollback: bool
) -> None:
    gate = Gate()
    target: Any = CreateExport if held == "open" else create_export._Export
    step = getattr(target, held)

    def gated(self: Any, *arguments: Any) -> Any:
        gate.pass_through()
        return step(self, *arguments)

    monkeypatch.setattr(target, held, gated)
    house = export_house
    job = house.submit_as("createExport", **JANUARY)
    gate.wait_reached(1)
    job = house.job(job)
    asked = house.service.terminate(job.id, BOB, 0, rollback=rollback)
    assert asked.state is State.TERMINATING
    gate.open()
    house.wait_for(job, State.TERMINATED)
    house.wait_left(job)
    assert files_of(house, job) == []
    assert house.job(job).rolled_back is rollback
