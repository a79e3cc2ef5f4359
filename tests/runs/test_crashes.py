"""Attempts that end with their process: counted, held back, and the end of a job at last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs import crashes
from jobsvc.runs.checkpoint import break_off
from jobsvc.runs.recovery import interrupt, recover
from jobsvc.runs.rollback import Rollbacks
from jobsvc.runs.runner import Runner
from jobsvc.runs.signals import Signals
from tests.support.gated import TIMEOUT
from tests.support.house import WHO, House

both_databases = pytest.mark.both_databases

MOST = 5


class Times:
    """Processes that begin and die on a house's database; the test moves their clock."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.now = datetime(2026, 1, 31, 10, tzinfo=UTC)
        self.runner = Runner(house.database, house.files, house.kinds, lambda: self.now)
        self.rollbacks = Rollbacks(house.database, house.files, house.kinds, lambda: self.now)
        self.late: list[Thread] = []

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def claim(self) -> Job | None:
        return self.runner.claim()

    def die(self) -> None:
        """The process is killed, and another one starts."""
        recover(self.house.database, self.house.files, lambda: self.now, resume=True, max_crashes=MOST)

    def crash(self, times: int = 1) -> None:
        """Begin a job and die before a checkpoint, after whatever pause."""
        for _ in range(times):
            self.passes(crashes.LONGEST_PAUSE_SECONDS)
            assert self.claim() is not None
            self.die()

    def run_to(self, job: Job, item: int) -> Signals:
        """Run a claimed job until its `item`-th item of this attempt is at the gate."""
        gate, signals = self.house.gated.gate, Signals()
        before = gate.reached
        self.late.append(Thread(target=self.runner.run, args=(job, signals)))
        self.late[-1].start()
        gate.open(item - 1)
        gate.wait_reached(before + item)
        return signals

    def run_out(self) -> None:
        self.house.gated.gate.open()
        for thread in self.late:
            thread.join(TIMEOUT)


@pytest.fixture
def times(make_house: Callable[..., House]) -> Iterator[Times]:
    times = Times(make_house(start=False))
    yield times
    times.run_out()


@both_databases
def test_a_job_is_failed_after_so_many_attempts_in_a_row_and_says_why(times: Times) -> None:
    house = times.house
    job = house.submit(count=10)
    first = times.claim()
    assert first is not None
    times.run_to(first, 4)
    assert house.job(job).done == 3
    times.die()
    for attempt in range(2, MOST + 2):
        assert house.job(job).state is State.QUEUED, "the attempt that came to a checkpoint counts for nothing"
        times.crash()
        assert house.job(job).attempt == attempt
    failed = house.job(job)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error.startswith("its process ended 5 times in a row without a new checkpoint.")
    assert "soon after its item 3." in failed.error
    assert house.history(job)[-1] == ("running", "failed", "service")
    assert house.service.events(job.id)[-1]["why"].endswith(", 5 times in a row without a new checkpoint")
    times.passes(10**6)
    assert times.claim() is None
    assert house.rows(job) == [1, 2, 3]


def test_a_job_that_never_came_to_a_checkpoint_is_failed_too(times: Times) -> None:
    job = times.house.submit()
    times.crash(MOST)
    failed = times.house.job(job)
    assert (failed.state, failed.attempt, failed.done) == (State.FAILED, MOST, 0)
    assert "no checkpoint at all" in str(failed.error)


@both_databases
def test_pauses_grow_and_the_first_crash_has_none(times: Times) -> None:
    times.house.submit()
    pauses = []
    for _ in range(MOST - 1):
        assert times.claim() is not None
        times.die()
        waited = 0.0
        while times.claim() is None:
            due_in = times.runner.due_in()
            assert due_in is not None
            times.passes(due_in)
            waited += due_in
        pauses.append(waited)
        # Not begun after all: what was claimed here is what the next round claims.
        with times.house.database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET state = 'queued', crashes = crashes - 1")
    assert pauses == [0, 1, 5, 25]


def test_the_longest_pause_is_bounded(times: Times) -> None:
    job = times.house.submit()
    begun = times.claim()
    assert begun is not None
    with times.house.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET crashes = 1000")
    recover(times.house.database, times.house.files, lambda: times.now, resume=True, max_crashes=10**6)
    waiting = times.house.job(job)
    assert waiting.not_before == times.now + timedelta(seconds=crashes.LONGEST_PAUSE_SECONDS)


def test_a_clock_that_is_set_back_strands_no_job(times: Times) -> None:
    times.house.submit()
    times.crash(2)
    assert times.claim() is None
    times.passes(-(10**6))
    assert times.claim() is not None


def test_others_go_on_while_a_job_waits_after_its_crashes(times: Times) -> None:
    times.house.submit()
    times.crash(2)
    other = times.house.submit()
    claimed = times.claim()
    assert claimed is not None
    assert claimed.key == other.key
    assert times.claim() is None


def test_a_checkpoint_sets_the_count_back(times: Times) -> None:
    job = times.house.submit(count=10)
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    assert begun.crashes == 4
    times.run_to(begun, 2)
    assert (times.house.job(job).crashes, times.house.job(job).not_before) == (0, None)
    times.die()
    assert times.claim() is not None, "it goes on at once"


def test_an_end_in_good_order_is_no_crash(times: Times) -> None:
    job = times.house.submit(count=10)
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    signals = times.run_to(begun, 1)
    signals.shut_down()
    times.run_out()
    assert (times.house.job(job).state, times.house.job(job).crashes) == (State.INTERRUPTED, 0)


def test_a_run_that_leaves_while_the_files_are_away_is_no_crash(times: Times) -> None:
    job = times.house.submit()
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    after = break_off(times.house.database, times.house.gated, begun, None, lambda: times.now, leaving=True)
    assert after is State.INTERRUPTED
    assert times.house.job(job).crashes == 0


def test_a_database_that_was_away_is_no_crash(times: Times) -> None:
    job = times.house.submit()
    for _ in range(MOST + 1):
        begun = times.claim()
        assert begun is not None
        assert interrupt(times.house.database, None, begun, lambda: times.now) is State.INTERRUPTED
    assert (times.house.job(job).state, times.house.job(job).crashes) == (State.QUEUED, 0)


@pytest.mark.parametrize("after", [2, MOST])
def test_resume_begins_anew(times: Times, after: int) -> None:
    job = times.house.submit()
    times.crash(after)
    if after < MOST:
        times.house.service.pause(job.id, WHO, 0)
    times.house.service.resume(job.id, WHO, 0)
    assert (times.house.job(job).crashes, times.house.job(job).not_before) == (0, None)
    times.now = datetime.now(UTC)
    begun = times.claim()
    assert begun is not None
    assert begun.crashes == 1


@both_databases
def test_suspects_begin_one_at_a_time_and_the_next_when_one_has_come_to_a_checkpoint(times: Times) -> None:
    """Two jobs that are at fault for nothing stand beside one that is; all of them have crashed twice."""
    house = times.house
    jobs = [house.submit(count=10) for _ in range(3)]
    for _ in range(2):
        for _ in jobs:
            assert times.claim() is not None
        times.die()
    then: list[Job | None] = []
    times.runner.when_cleared = lambda: then.append(times.claim())
    assert [house.job(job).crashes for job in jobs] == [2, 2, 2]
    times.passes(crashes.FIRST_PAUSE_SECONDS)
    begun = times.claim()
    assert begun is not None
    assert begun.key == jobs[0].key
    assert times.claim() is None, "a second suspect began beside the first"
    fresh = house.submit()
    beside = times.claim()
    assert beside is not None
    assert beside.key == fresh.key
    # The first one dies, and only it and the newcomer bear it.
    times.die()
    assert [house.job(job).crashes for job in [*jobs, fresh]] == [3, 2, 2, 1]
    assert then == []
    second = times.claim()
    assert second is not None
    assert second.key == jobs[1].key
    house.gated.gate.open()
    times.runner.run(second, Signals())
    [third] = then
    assert third is not None, "the second had come to a checkpoint"
    assert (third.key, third.crashes) == (jobs[2].key, 3)


def test_a_suspect_that_neither_ends_nor_comes_to_a_checkpoint_holds_up_others_for_a_while_only(times: Times) -> None:
    jobs = [times.house.submit() for _ in range(2)]
    for _ in range(2):
        for _ in jobs:
            assert times.claim() is not None
        times.die()
    times.passes(crashes.FIRST_PAUSE_SECONDS)
    assert times.claim() is not None
    assert times.claim() is None
    times.passes(crashes.PROBATION_SECONDS - 1)
    assert times.claim() is None
    times.passes(2)
    assert times.claim() is not None


@both_databases
def test_a_rollback_that_ends_its_process_again_and_again_has_failed_and_can_be_asked_for_again(times: Times) -> None:
    house = times.house
    job = house.submit(count=3)
    house.gated.gate.open()
    begun = times.claim()
    assert begun is not None
    times.runner.run(begun, Signals())
    house.service.roll_back(job.id, WHO, 0)
    for _ in range(MOST):
        times.passes(crashes.LONGEST_PAUSE_SECONDS)
        assert times.rollbacks.claim() is not None
        times.die()
    assert times.rollbacks.claim() is None
    failed = house.job(job)
    assert (failed.state, failed.rollback, failed.rolled_back) == (State.TERMINATED, None, False)
    assert failed.attempt == 1 + MOST
    assert failed.error == ("the rollback failed: its process ended 5 times in a row and nothing more was undone")
    assert house.rows(job) == [1, 2, 3]
    house.service.roll_back(job.id, WHO, 0)
    again = times.rollbacks.claim()
    assert again is not None
    assert again.crashes == 1
    assert times.rollbacks.run(again, Signals()) is State.TERMINATED
    assert (house.job(job).rolled_back, house.job(job).error) == (True, None)
    assert house.rows(job) == []


def test_a_rollback_that_gets_on_is_not_given_up_however_often_its_process_ends(times: Times) -> None:
    house = times.house
    job = house.submit(count=MOST + 3)
    house.gated.gate.open()
    begun = times.claim()
    assert begun is not None
    times.runner.run(begun, Signals())
    house.service.roll_back(job.id, WHO, 0)
    for left in range(MOST + 2, 0, -1):
        claimed = times.rollbacks.claim()
        assert claimed is not None, "it waits though it got on"
        assert times.rollbacks._undo_batch(claimed, Signals()) is None
        assert len(house.rows(job)) == left
        times.die()
    assert house.job(job).state is State.TERMINATING
