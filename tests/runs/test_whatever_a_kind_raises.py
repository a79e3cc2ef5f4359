"""Whatever a kind raises, and wherever, concerns its own job: a SystemExit too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from jobsvc.jobs.states import State
from jobsvc.kinds import Item, RowKind, Source
from jobsvc.kinds.contract import Batch, Effects, End, JobContext, JobInfo, Kind, KnownJobs, Readable, Refusal, Work
from jobsvc.runs.hooks import KindBroke
from jobsvc.runs.signals import Signals
from jobsvc.service.new_job import checked
from tests.support.environment import WHO, Environment

RAISED = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]


class Breaks(Kind):
    """Raises at one place; its three items have no effects."""

    name = "breaks"
    takes_file = False

    def __init__(self, place: str, raised: type[BaseException]) -> None:
        self.place, self.raised = place, raised

    def at(self, place: str) -> None:
        if place == self.place:
            raise self.raised("broken")

    def open(self, context: JobContext) -> Work:
        self.at("open")
        return _BreakingWork(self)

    def prepare(self, params: Any, upload: Readable | None) -> Any:
        self.at("prepare")
        return params

    def check_jobs(self, params: Any, jobs: KnownJobs) -> None:
        self.at("check_jobs")

    def undo(self, effects: Effects, limit: int) -> int:
        self.at("undo")
        return 0

    def clean_up(self, effects: Effects) -> None:
        self.at("clean_up")

    def on_start(self, job: JobInfo) -> None:
        self.at("on_start")

    def on_success(self, job: JobInfo) -> None:
        self.at("on_success")

    def on_terminate(self, job: JobInfo) -> None:
        self.at("on_terminate")


class _BreakingWork(Work):
    size = 3

    def __init__(self, kind: Breaks) -> None:
        self._kind = kind

    def batches(self) -> Iterator[Batch]:
        self._kind.at("batches")
        yield _Three()

    def process(self, item: int) -> None:
        if item == 2:
            self._kind.at("process")

    def flush(self) -> None:
        self._kind.at("flush")

    def apply(self, effects: Effects, items: Sequence[int]) -> Sequence[tuple[int, str]]:
        self._kind.at("apply")
        return ()

    def finish(self) -> None:
        self._kind.at("finish")

    def close(self) -> None:
        self._kind.at("close")


class _Three(Batch):
    items = (1, 2, 3)

    def end(self, taken: int) -> End:
        return End({"next": taken}, taken)

    def refusal(self, item: int, error: str) -> Refusal:
        return Refusal(item, error)


class BreaksInARow(RowKind):
    name = "breaksInARow"
    takes_file = False

    def __init__(self, place: str, raised: type[BaseException]) -> None:
        self.place, self.raised = place, raised

    def source(self, context: JobContext, after: Any) -> Source:
        return Source(self._numbers(), 4)

    def _numbers(self) -> Iterator[tuple[int, int]]:
        for number in range(1, 5):
            if self.place == "source" and number == 3:
                raise self.raised("broken")
            yield number, number

    def process(self, row: int, item: Item) -> None:
        if self.place == "process" and row == 3:
            raise self.raised("broken")


class BreaksAmongSome(BreaksInARow):
    name = "breaksAmongSome"
    concurrency = 2


MakeEnvironment = Callable[..., Environment]


def run(env: Environment, kind: str) -> State | None:
    env.submit_as(kind)
    claimed = env.runner.claim()
    assert claimed is not None
    return env.runner.run(claimed, Signals())


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("place", ["open", "batches", "process", "flush", "apply", "finish", "close", "on_start"])
def test_what_is_raised_in_a_run_is_its_job_s_failure(
    make_env: MakeEnvironment, place: str, raised: type[BaseException]
) -> None:
    env = make_env(start=False, kinds=[Breaks(place, raised)])
    if place == "close":
        # The job has succeeded by then, and the run has to find that out.
        assert run(env, "breaks") is State.SUCCEEDED
        assert env.service.page(limit=1).jobs[0].state is State.SUCCEEDED
        return
    assert run(env, "breaks") is State.FAILED
    [job] = env.service.page(limit=1).jobs
    assert job.error == f"{raised.__name__}: broken"
    assert job.done == {"process": 1, "finish": 3}.get(place, 0)


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("place", ["source", "process"])
@pytest.mark.parametrize("kind", [BreaksInARow, BreaksAmongSome])
def test_what_is_raised_for_an_item_fails_the_job_with_the_items_before_it_done(
    make_env: MakeEnvironment, kind: type[BreaksInARow], place: str, raised: type[BaseException]
) -> None:
    env = make_env(start=False, kinds=[kind(place, raised)])
    assert run(env, kind.name) is State.FAILED
    [job] = env.service.page(limit=1).jobs
    assert (job.error, job.done) == (f"{raised.__name__}: broken", 2)


@pytest.mark.parametrize("raised", RAISED)
def test_what_a_hook_raises_is_logged(
    make_env: MakeEnvironment, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    env = make_env(start=False, kinds=[Breaks("on_success", raised)])
    assert run(env, "breaks") is State.SUCCEEDED
    assert "on_success of breaks failed" in caplog.text


@pytest.mark.parametrize("raised", RAISED)
def test_what_is_raised_in_a_rollback_is_its_failure(make_env: MakeEnvironment, raised: type[BaseException]) -> None:
    env = make_env(start=False, kinds=[Breaks("undo", raised)])
    run(env, "breaks")
    [job] = env.service.page(limit=1).jobs
    env.service.roll_back(job.id, WHO, 0)
    rollbacks = env.another_process().rollbacks
    claimed = rollbacks.claim()
    assert claimed is not None
    assert rollbacks.run(claimed, Signals()) is State.TERMINATED
    assert env.job(job).error == f"the rollback failed: {raised.__name__}: broken"


@pytest.mark.parametrize("raised", [*RAISED, RuntimeError])
def test_a_job_is_terminated_whatever_its_kind_says_to_that(
    make_env: MakeEnvironment, raised: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    env = make_env(start=False, kinds=[Breaks("clean_up", raised)])
    waiting, dead = env.submit_as("breaks"), env.submit_as("breaks")
    assert env.service.terminate(waiting.id, WHO, 0).state is State.TERMINATED
    assert env.runner.claim() is not None
    env.ask_for(dead, State.TERMINATING)
    env.recover()
    assert env.job(dead).state is State.TERMINATED
    assert caplog.text.count("what only it needed may still be there") == 2


class _NoJobs:
    def existed(self, job_id: str) -> bool:
        return False


@pytest.mark.parametrize("place", ["prepare", "check_jobs"])
@pytest.mark.parametrize("raised", RAISED)
def test_what_is_raised_before_a_job_is_accepted_ends_no_thread_of_a_server(
    raised: type[BaseException], place: str
) -> None:
    with pytest.raises(KindBroke, match=f"breaks raised {raised.__name__}: broken"):
        checked(Breaks(place, raised), {}, None, _NoJobs())


def test_a_run_that_is_left_early_has_not_failed(make_env: MakeEnvironment) -> None:
    """What draws the items is closed then, with a GeneratorExit that nobody raised."""
    env = make_env(start=False, kinds=[BreaksInARow("nowhere", SystemExit)])
    env.submit_as("breaksInARow")
    claimed = env.runner.claim()
    assert claimed is not None
    signals = Signals()
    signals.shut_down()
    assert env.runner.run(claimed, signals) is State.INTERRUPTED
