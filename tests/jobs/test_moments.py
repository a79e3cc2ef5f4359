"""What is asked for, or happens, at the moments between a run's checkpoint and its next step."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.contract import JobContext, Work
from jobsvc.runs.checkpoints.order import Checkpoints
from jobsvc.runs.signals import Signals
from jobsvc.store.queries import job_rows
from tests.support.environment import WHO, Environment
from tests.support.gated import Gated


def claimed(idle: Environment, **params: object) -> Job:
    """A job whose run is about to begin, with nothing to hold up its items."""
    idle.submit(**params)
    idle.gated.gate.open()
    job = idle.runner.claim()
    assert job is not None
    return job


@pytest.fixture
def after_first_commit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has something happen right behind the first checkpoint that is committed."""

    def arrange(happens: Callable[[], object]) -> None:
        commit, left = Checkpoints.commit, [happens]

        def commit_and(checkpoints: Checkpoints, *given: object, **more: object) -> State:
            state = commit(checkpoints, *given, **more)  # type: ignore[arg-type]
            if left:
                left.pop()()
            return state

        monkeypatch.setattr(Checkpoints, "commit", commit_and)

    return arrange


def test_a_stop_right_behind_a_checkpoint_is_not_lost(
    idle: Environment, after_first_commit: Callable[[Callable[[], object]], None]
) -> None:
    job, signals = claimed(idle), Signals()

    def pause() -> None:
        idle.ask_for(job, State.PAUSING)
        signals.stop.set()

    after_first_commit(pause)
    # Somebody's signal that came too late for what it was meant for: the run stops, and nobody wants it to.
    signals.stop.set()
    assert idle.runner.run(job, signals) is State.PAUSED
    assert idle.gated.gate.reached == 0, "an item was begun after the stop"
    assert idle.rows(job) == []


def test_a_run_that_reads_its_job_again_does_not_take_a_newer_attempt_for_its_own(
    idle: Environment, after_first_commit: Callable[[Callable[[], object]], None]
) -> None:
    job, signals = claimed(idle), Signals()

    def take_over() -> None:
        with idle.database.write() as connection:
            assert job_rows.change(connection, job.key, attempt=1, state="running", values={"attempt": 2})

    after_first_commit(take_over)
    signals.stop.set()
    assert idle.runner.run(job, signals) is None
    assert idle.rows(job) == []
    assert (idle.job(job).state, idle.job(job).attempt, idle.job(job).done) == (State.RUNNING, 2, 0)


class _AtTheEnd(Gated):
    """Has something happen when every item is committed, right before the job succeeds or fails."""

    name = "atTheEnd"

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.gate.open()
        self._happens = happens

    def open(self, context: JobContext) -> Work:
        work = super().open(context)
        work.finish = self._happens  # type: ignore[method-assign]
        return work


@pytest.mark.parametrize("breaks", [False, True], ids=["succeeding", "failing"])
def test_a_terminate_between_the_last_checkpoint_and_the_end_is_obeyed(
    make_env: Callable[..., Environment], breaks: bool
) -> None:
    def terminate() -> None:
        idle.ask_for(job, State.TERMINATING)
        if breaks:
            raise RuntimeError("too late to matter")

    idle = make_env(start=False, kinds=[_AtTheEnd(terminate)])
    job = idle.submit_as("atTheEnd", count=2)
    claim = idle.runner.claim()
    assert claim is not None
    assert idle.runner.run(claim, Signals()) is State.TERMINATED
    assert idle.rows(job) == [1, 2]
    assert idle.history(job)[-1] == ("terminating", "terminated", "run")


def test_a_late_rollback_leaves_a_newer_one_alone(idle: Environment) -> None:
    job = claimed(idle, count=3)
    assert idle.runner.run(job, Signals()) is State.SUCCEEDED
    idle.service.roll_back(job.id, WHO, 0)
    rollbacks = idle.another_process(lambda: job.created_at).rollbacks
    late = rollbacks.claim()
    assert late is not None
    with idle.database.write() as connection:
        assert job_rows.change(
            connection, job.key, attempt=late.attempt, state="terminating", values={"attempt": late.attempt + 1}
        )
    assert rollbacks.run(late, Signals()) is None
    assert idle.rows(job) == [1, 2, 3]
    assert (idle.job(job).state, idle.job(job).rollback) == (State.TERMINATING, "running")
