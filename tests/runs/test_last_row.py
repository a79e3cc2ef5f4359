"""What becomes of a job that is asked to stop at its last row: each case that `runs/ending.py` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from jobsvc.jobs.errors import NotAllowed
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import Batch, Effects, End, JobContext, Kind, KindParams, Refusal, RefusedLate, Work
from tests.support.environment import WHO, Environment
from tests.support.gated import Gate

WAYS_OUT = [State.PAUSED, State.SUCCEEDED, State.FAILED, State.TERMINATED]


class LastParams(KindParams):
    refuse: int = 0
    """How many items are refused, from the first on."""
    max_failed: int | None = None
    empty_batch: bool = False
    """Whether a batch without items comes last, as it does where blank lines end a file."""


class Last(Kind):
    """Three items in one batch, with a gate before each checkpoint and one after the last."""

    name = "last"
    takes_file = False
    Params = LastParams

    def __init__(self) -> None:
        self.checkpoints, self.ends = Gate(), Gate()
        self.breaks = False
        """Whether `finish` raises."""

    def open(self, context: JobContext) -> Work:
        return _LastWork(self, context)


class _LastWork(Work):
    size = 3

    def __init__(self, kind: Last, context: JobContext) -> None:
        self._kind, self._params = kind, context.params
        self._next: int = context.cursor["next"] if context.cursor else 1

    def batches(self) -> Iterator[Batch]:
        if self._next == 1:
            yield _Numbers(1, 4)
            if self._params.empty_batch:
                yield _Numbers(4, 4)

    def flush(self) -> None:
        self._kind.checkpoints.pass_through()

    def apply(self, effects: Effects, items: Sequence[int]) -> Sequence[RefusedLate]:
        return [RefusedLate(number, "no") for number in items if number <= self._params.refuse]

    def finish(self) -> None:
        self._kind.ends.pass_through()
        if self._kind.breaks:
            raise RuntimeError("broken")


class _Numbers(Batch):
    def __init__(self, start: int, stop: int) -> None:
        self._start = start
        self.items = range(start, stop)

    def end(self, taken: int) -> End:
        return End({"next": self._start + taken}, self._start + taken - 1)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


@pytest.fixture
def last() -> Last:
    return Last()


@pytest.fixture
def env(make_env: Callable[..., Environment], last: Last) -> Iterator[Environment]:
    yield make_env(kinds=[last])
    last.checkpoints.open()
    last.ends.open()


def at_checkpoint(env: Environment, last: Last, number: int, asked: State, **params: object) -> Job:
    """What is asked is written just before the checkpoint of that number. Returns the job at the end of the run."""
    job = env.submit_as("last", **params)
    last.checkpoints.open(number - 1)
    last.checkpoints.wait_reached(number)
    env.ask_for(job, asked)
    last.checkpoints.open()
    last.ends.open()
    return env.wait_for(job, *WAYS_OUT)


def at_end(env: Environment, last: Last, asked: State, **params: object) -> Job:
    """What is asked is written after the last checkpoint, and before the run ends the job."""
    job = env.submit_as("last", **params)
    last.checkpoints.open()
    last.ends.wait_reached(1)
    env.ask_for(job, asked)
    last.ends.open()
    return env.wait_for(job, *WAYS_OUT)


@pytest.mark.parametrize("empty_batch", [False, True])
def test_a_pause_before_the_checkpoint_of_the_last_batch_is_obeyed(
    env: Environment, last: Last, empty_batch: bool
) -> None:
    job = at_checkpoint(env, last, 2 if empty_batch else 1, State.PAUSING, empty_batch=empty_batch)
    assert (job.state, job.done) == (State.PAUSED, 3)
    env.service.resume(job.id, WHO, 0)
    assert env.wait_for(job, *WAYS_OUT[1:]).state is State.SUCCEEDED


def test_a_paused_job_that_has_refused_all_fails_when_it_is_resumed(env: Environment, last: Last) -> None:
    job = at_checkpoint(env, last, 1, State.PAUSING, refuse=3)
    assert (job.state, job.failed) == (State.PAUSED, 3)
    env.service.resume(job.id, WHO, 0)
    assert env.wait_for(job, *WAYS_OUT[1:]).state is State.FAILED


def test_a_pause_after_the_last_checkpoint_is_passed_over(env: Environment, last: Last) -> None:
    job = at_end(env, last, State.PAUSING)
    assert job.state is State.SUCCEEDED
    assert ("pausing", "succeeded", "run") in env.history(job)


def test_a_pause_after_the_last_checkpoint_of_a_job_that_has_refused_all_is_passed_over(
    env: Environment, last: Last
) -> None:
    job = at_end(env, last, State.PAUSING, refuse=3)
    assert (job.state, job.error) == (State.FAILED, "all 3 rows were refused, most often since no")
    assert ("pausing", "failed", "run") in env.history(job)


def test_a_pause_after_the_last_checkpoint_keeps_no_job_from_failing(env: Environment, last: Last) -> None:
    last.breaks = True
    job = at_end(env, last, State.PAUSING)
    assert (job.state, job.error) == (State.FAILED, "RuntimeError: broken")


def test_one_refused_row_too_many_fails_the_job_whether_a_pause_was_written_or_not(
    env: Environment, last: Last
) -> None:
    job = at_checkpoint(env, last, 1, State.PAUSING, refuse=2, max_failed=1)
    assert (job.state, job.error) == (State.FAILED, "2 rows were refused, more than max_failed=1")


@pytest.mark.parametrize("params", [{}, {"refuse": 3}, {"refuse": 2, "max_failed": 1}])
def test_a_terminate_before_the_last_checkpoint_is_obeyed(env: Environment, last: Last, params: dict[str, int]) -> None:
    assert at_checkpoint(env, last, 1, State.TERMINATING, **params).state is State.TERMINATED


@pytest.mark.parametrize("params", [{}, {"refuse": 3}])
def test_a_terminate_after_the_last_checkpoint_is_obeyed(env: Environment, last: Last, params: dict[str, int]) -> None:
    assert at_end(env, last, State.TERMINATING, **params).state is State.TERMINATED


def test_a_stop_after_the_end_is_refused(env: Environment, last: Last) -> None:
    last.checkpoints.open()
    last.ends.open()
    job = env.wait_for(env.submit_as("last"), State.SUCCEEDED)
    for ask in (env.service.pause, env.service.terminate):
        with pytest.raises(NotAllowed):
            ask(job.id, WHO, 0)
