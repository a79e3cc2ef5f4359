"""Attempts that end with their process: counted, held back, and the end of a job at last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.run_log import RunLog
from jobsvc.jobs.states import State
from jobsvc.runs import crashes
from jobsvc.runs.ending import break_off
from jobsvc.runs.recovery import interrupt, recover
from jobsvc.runs.signals import Signals
from jobsvc.settings import Settings
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT

both_databases = pytest.mark.both_databases

MOST = Settings().max_crashes


class Times:
    """Processes that begin and die on an environment's database; the test moves their clock."""

    def __init__(self, env: Environment) -> None:
        self.env = env
        self.now = datetime(2026, 1, 31, 10, tzinfo=UTC)
        self.core = env.another_process(lambda: self.now)
        self.runner, self.rollbacks = self.core.runner, self.core.rollbacks
        self.late: list[Thread] = []

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def claim(self) -> Job | None:
        return self.runner.claim()

    def die(self) -> None:
        """The process is killed, and another one starts."""
        self.core.recover(resume=True)

    def crash(self, times: int = 1) -> None:
        """Begin a job and die before a checkpoint, after whatever pause."""
        for _ in range(times):
            self.passes(crashes.MAX_DELAY_SECONDS)
            assert self.claim() is not None
            self.die()

    def run_to(self, job: Job, item: int) -> Signals:
        """Run a claimed job until its `item`-th item of this attempt is at the gate."""
        gate, signals = self.env.gated.gate, Signals()
        before = gate.reached
        self.late.append(Thread(target=self.runner.run, args=(job, signals)))
        self.late[-1].start()
        gate.open(item - 1)
        gate.wait_reached(before + item)
        return signals

    def run_out(self) -> None:
        self.env.gated.gate.open()
        for thread in self.late:
            thread.join(TIMEOUT)


@pytest.fixture
def times(make_env: Callable[..., Environment]) -> Iterator[Times]:
    times = Times(make_env(start=False))
    yield times
    times.run_out()


@both_databases
def test_a_job_is_failed_after_so_many_attempts_in_a_row_and_says_why(times: Times) -> None:
    env = times.env
    job = env.submit(count=10)
    first = times.claim()
    assert first is not None
    times.run_to(first, 4)
    assert env.job(job).done == 3
    times.die()
    for attempt in range(2, MOST + 2):
        assert env.job(job).state is State.QUEUED, "the attempt that came to a checkpoint counts for nothing"
        times.crash()
        assert env.job(job).attempt == attempt
    failed = env.job(job)
    assert failed.state is State.FAILED
    assert failed.error is not None
    assert failed.error.startswith("its process ended 5 times in a row without a new checkpoint.")
    assert "soon after its item 3." in failed.error
    assert env.history(job)[-1] == ("running", "failed", "service")
    assert env.service.events(job.id)[-1]["why"].endswith(", 5 times in a row without a new checkpoint")
    times.passes(10**6)
    assert times.claim() is None
    assert env.rows(job) == [1, 2, 3]


def test_a_job_that_never_came_to_a_checkpoint_is_failed_too(times: Times) -> None:
    job = times.env.submit()
    times.crash(MOST)
    failed = times.env.job(job)
    assert (failed.state, failed.attempt, failed.done) == (State.FAILED, MOST, 0)
    assert "no checkpoint at all" in str(failed.error)


@both_databases
def test_pauses_grow_and_the_first_crash_has_none(times: Times) -> None:
    times.env.submit()
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
        with times.env.database.write() as connection:
            connection.exec_driver_sql("UPDATE jobs SET state = 'queued', crashes = crashes - 1")
    assert pauses == [0, 1, 5, 25]


def test_the_longest_pause_is_bounded(times: Times) -> None:
    job = times.env.submit()
    begun = times.claim()
    assert begun is not None
    with times.env.database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET crashes = 1000")
    recover(times.env.database, times.env.files, lambda: times.now, resume=True, max_crashes=10**6)
    waiting = times.env.job(job)
    assert waiting.not_before == times.now + timedelta(seconds=crashes.MAX_DELAY_SECONDS)


def test_a_clock_that_is_set_back_strands_no_job(times: Times) -> None:
    times.env.submit()
    times.crash(2)
    assert times.claim() is None
    times.passes(-(10**6))
    assert times.claim() is not None


def test_others_go_on_while_a_job_waits_after_its_crashes(times: Times) -> None:
    times.env.submit()
    times.crash(2)
    other = times.env.submit()
    claimed = times.claim()
    assert claimed is not None
    assert claimed.key == other.key
    assert times.claim() is None


def test_a_checkpoint_sets_the_count_back(times: Times) -> None:
    job = times.env.submit(count=10)
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    assert begun.crashes == 4
    times.run_to(begun, 2)
    assert (times.env.job(job).crashes, times.env.job(job).not_before) == (0, None)
    times.die()
    assert times.claim() is not None, "it goes on at once"


def test_an_end_in_good_order_is_no_crash(times: Times) -> None:
    job = times.env.submit(count=10)
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    signals = times.run_to(begun, 1)
    signals.shut_down()
    times.run_out()
    assert (times.env.job(job).state, times.env.job(job).crashes) == (State.INTERRUPTED, 0)


def test_a_run_that_leaves_while_the_files_are_away_is_no_crash(times: Times) -> None:
    job = times.env.submit()
    times.crash(3)
    times.passes(100)
    begun = times.claim()
    assert begun is not None
    after = break_off(
        times.env.database,
        times.env.gated,
        begun,
        None,
        lambda: times.now,
        RunLog(begun.attempt, lambda: times.now),
        leaving=True,
    )
    assert after is State.INTERRUPTED
    assert times.env.job(job).crashes == 0


def test_a_database_that_was_away_is_no_crash(times: Times) -> None:
    job = times.env.submit()
    for _ in range(MOST + 1):
        begun = times.claim()
        assert begun is not None
        assert (
            interrupt(times.env.database, None, begun, lambda: times.now, RunLog(begun.attempt, lambda: times.now))
            is State.INTERRUPTED
        )
    assert (times.env.job(job).state, times.env.job(job).crashes) == (State.QUEUED, 0)


@pytest.mark.parametrize("after", [2, MOST])
def test_resume_begins_anew(times: Times, after: int) -> None:
    job = times.env.submit()
    times.crash(after)
    if after < MOST:
        times.env.service.pause(job.id, WHO, 0)
    times.env.service.resume(job.id, WHO, 0)
    assert (times.env.job(job).crashes, times.env.job(job).not_before) == (0, None)
    times.now = datetime.now(UTC)
    begun = times.claim()
    assert begun is not None
    assert begun.crashes == 1


@both_databases
def test_suspects_begin_one_at_a_time_and_the_next_when_one_has_come_to_a_checkpoint(times: Times) -> None:
    """Two jobs that are at fault for nothing stand beside one that is; all of them have crashed twice."""
    env = times.env
    jobs = [env.submit(count=10) for _ in range(3)]
    for _ in range(2):
        for _ in jobs:
            assert times.claim() is not None
        times.die()
    then: list[Job | None] = []
    times.runner.when_cleared = lambda: then.append(times.claim())
    assert [env.job(job).crashes for job in jobs] == [2, 2, 2]
    times.passes(crashes.FIRST_DELAY_SECONDS)
    begun = times.claim()
    assert begun is not None
    assert begun.key == jobs[0].key
    assert times.claim() is None, "a second suspect began beside the first"
    fresh = env.submit()
    beside = times.claim()
    assert beside is not None
    assert beside.key == fresh.key
    # The first one dies, and only it and the newcomer bear it.
    times.die()
    assert [env.job(job).crashes for job in [*jobs, fresh]] == [3, 2, 2, 1]
    assert then == []
    second = times.claim()
    assert second is not None
    assert second.key == jobs[1].key
    env.gated.gate.open()
    times.runner.run(second, Signals())
    [third] = then
    assert third is not None, "the second had come to a checkpoint"
    assert (third.key, third.crashes) == (jobs[2].key, 3)


def test_a_suspect_that_neither_ends_nor_comes_to_a_checkpoint_holds_up_others_for_a_while_only(times: Times) -> None:
    jobs = [times.env.submit() for _ in range(2)]
    for _ in range(2):
        for _ in jobs:
            assert times.claim() is not None
        times.die()
    times.passes(crashes.FIRST_DELAY_SECONDS)
    assert times.claim() is not None
    assert times.claim() is None
    times.passes(crashes.PROBATION_SECONDS - 1)
    assert times.claim() is None
    times.passes(2)
    assert times.claim() is not None


@both_databases
def test_a_rollback_that_ends_its_process_again_and_again_has_failed_and_can_be_asked_for_again(times: Times) -> None:
    env = times.env
    job = env.submit(count=3)
    env.gated.gate.open()
    begun = times.claim()
    assert begun is not None
    times.runner.run(begun, Signals())
    env.service.roll_back(job.id, WHO, 0)
    for _ in range(MOST):
        times.passes(crashes.MAX_DELAY_SECONDS)
        assert times.rollbacks.claim() is not None
        times.die()
    assert times.rollbacks.claim() is None
    failed = env.job(job)
    assert (failed.state, failed.rollback, failed.rolled_back) == (State.TERMINATED, None, False)
    assert failed.attempt == 1 + MOST
    assert failed.error == ("the rollback failed: its process ended 5 times in a row and nothing more was undone")
    assert env.rows(job) == [1, 2, 3]
    env.service.roll_back(job.id, WHO, 0)
    again = times.rollbacks.claim()
    assert again is not None
    assert again.crashes == 1
    assert times.rollbacks.run(again, Signals()) is State.TERMINATED
    assert (env.job(job).rolled_back, env.job(job).error) == (True, None)
    assert env.rows(job) == []


def test_a_rollback_that_gets_on_is_not_given_up_however_often_its_process_ends(times: Times) -> None:
    env = times.env
    job = env.submit(count=MOST + 3)
    env.gated.gate.open()
    begun = times.claim()
    assert begun is not None
    times.runner.run(begun, Signals())
    env.service.roll_back(job.id, WHO, 0)
    for left in range(MOST + 2, 0, -1):
        claimed = times.rollbacks.claim()
        assert claimed is not None, "it waits though it got on"
        assert times.rollbacks._undo_batch(claimed, Signals()) is None
        assert len(env.rows(job)) == left
        times.die()
    assert env.job(job).state is State.TERMINATING
