"""A job with a high priority that finds no free slot takes that of another, between two of its items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

import pytest

from jobsvc.identifiers import JobKey, Priority
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import RUN, SERVICE, State
from jobsvc.kinds.contract import JobInfo
from jobsvc.runs.sharing.giving_way import Place, Taken, Waiting, to_give_way
from jobsvc.service.new_job import NewJob
from tests.support.environment import Environment
from tests.support.gated import Gated

HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW

WHY = "it gave its slot to a job of a higher priority; it goes on at its cursor when there is room"


def taken(key: int, priority: Priority = NORMAL, turn: int = 1, *, leaves_soon: bool = False) -> Taken:
    return Taken(JobKey(key), 1, priority, turn, leaves_soon)


def chosen(waiting: Sequence[str], *places: Place) -> list[int]:
    return [each.key for each in to_give_way([Waiting(kind, HIGH) for kind in waiting], places)]


@pytest.mark.parametrize(
    ("jobs", "found"),
    [
        ([taken(1), taken(2, LOW), taken(3)], [2]),
        ([taken(1, turn=5), taken(2, turn=7), taken(3, turn=6)], [2]),
        ([taken(1), taken(2)], [2]),
        ([taken(1, HIGH), taken(2, HIGH)], []),
        ([taken(1, HIGH), taken(2, NORMAL)], [2]),
        ([taken(1), taken(2, leaves_soon=True)], []),
    ],
)
def test_the_lowest_gives_way_and_of_equals_the_one_with_the_latest_turn(jobs: list[Taken], found: list[int]) -> None:
    assert chosen(["a"], Place(None, 0, jobs)) == found


def test_as_many_give_way_as_are_needed() -> None:
    assert chosen(["a"] * 3, Place(None, 1, [taken(1), taken(2), taken(3, leaves_soon=True)])) == [2]
    assert chosen(["a"] * 9, Place(None, 0, [taken(1), taken(2), taken(3, HIGH)])) == [2, 1]


def test_a_slot_of_a_worker_that_does_not_take_the_kind_is_of_no_use() -> None:
    places = [Place(["b"], 1, [taken(1, LOW)]), Place(["a"], 0, [taken(2), taken(3, leaves_soon=True)])]
    assert chosen(["a", "a"], *places) == [2]


class Told(Gated):
    """Notes which of its hooks are called."""

    name = "told"

    def __init__(self) -> None:
        super().__init__()
        self._guard = Lock()
        self.calls: list[tuple[str, str]] = []

    def _note(self, hook: str, job: JobInfo) -> None:
        with self._guard:
            self.calls.append((hook, job.id))

    def on_start(self, job: JobInfo) -> None:
        self._note("start", job)

    def on_resume(self, job: JobInfo) -> None:
        self._note("resume", job)

    def on_pause(self, job: JobInfo) -> None:
        self._note("pause", job)

    def on_success(self, job: JobInfo) -> None:
        self._note("success", job)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def env(make_env: Callable[..., Environment], told: Told) -> Environment:
    return make_env(slots=2, kinds=[told])


def submit(env: Environment, priority: Priority, kind: str = "told", user: str = "Ann", count: int = 3) -> Job:
    params = {"count": count}
    return env.service.submit(NewJob(env.service.new_id(user, kind), kind, user, params, priority=priority))


def wait_marked(env: Environment, job: Job) -> None:
    env.commits.wait_for(lambda: env.job(job).gives_way, f"{job.id} to be told to give way")


def assert_done_once(env: Environment, *jobs: Job) -> None:
    for job in jobs:
        assert env.wait_for(job, State.SUCCEEDED).done == 3
        assert env.rows(job) == [1, 2, 3]


@pytest.mark.both_databases
def test_a_high_job_takes_the_slot_of_the_latest_which_goes_on_later(env: Environment, told: Told) -> None:
    first, second = submit(env, NORMAL), submit(env, NORMAL)
    told.gate.wait_reached(2)
    waiting = submit(env, NORMAL)
    high = submit(env, HIGH)
    wait_marked(env, second)
    told.gate.open(2)
    told.gate.wait_reached(4)
    gone = env.job(second)
    assert (gone.state, gone.done, gone.gives_way, gone.crashes) == (State.QUEUED, 1, False, 0)
    assert (env.job(first).state, env.job(high).state) == (State.RUNNING, State.RUNNING)
    last = env.service.events(second.id)[-1]
    assert (last["from"], last["to"], last["who"], last["why"]) == ("running", "queued", SERVICE, WHY)
    # It has begun already, and goes before the one that has not.
    told.gate.open()
    assert_done_once(env, first, second, high, waiting)
    assert env.job(second).attempt == 2
    begun = {job.key: env.service.events(job.id) for job in (second, waiting)}
    again = [event["at"] for event in begun[second.key] if event["to"] == "running"][-1]
    assert again <= next(event["at"] for event in begun[waiting.key] if event["to"] == "running")
    assert [hook for hook, job_id in told.calls if job_id == second.id] == ["start", "resume", "success"]


@pytest.mark.parametrize(("state", "end"), [(State.PAUSING, State.PAUSED), (State.TERMINATING, State.TERMINATED)])
def test_a_pause_or_a_terminate_that_comes_at_the_same_moment_goes_first(
    env: Environment, told: Told, state: State, end: State
) -> None:
    first, second = submit(env, NORMAL), submit(env, NORMAL)
    told.gate.wait_reached(2)
    high = submit(env, HIGH)
    wait_marked(env, second)
    env.ask_for(second, state)
    told.gate.open(2)
    env.wait_for(second, end)
    assert env.service.events(second.id)[-1]["who"] == RUN
    told.gate.open()
    assert_done_once(env, first, high)
    assert env.rows(second) == [1]
    if end is State.PAUSED:
        env.service.resume(second.id, "Ann", 0)
        assert_done_once(env, second)


def test_a_job_that_has_ended_meanwhile_has_nothing_to_give(env: Environment, told: Told) -> None:
    first, second = submit(env, NORMAL), submit(env, NORMAL, count=1)
    told.gate.wait_reached(2)
    high = submit(env, HIGH)
    wait_marked(env, second)
    told.gate.open(2)
    told.gate.wait_reached(4)
    told.gate.open()
    assert_done_once(env, first, high)
    # It had its last row, and gave its slot then; nothing was left when it went on.
    assert env.wait_for(second, State.SUCCEEDED).done == 1
    assert env.rows(second) == [1]


@pytest.mark.parametrize(("running", "waiting"), [(HIGH, HIGH), (LOW, NORMAL), (NORMAL, NORMAL)])
def test_no_job_gives_way_to_one_that_is_no_higher_or_that_is_not_high(
    env: Environment, told: Told, running: Priority, waiting: Priority
) -> None:
    jobs = [submit(env, running), submit(env, running)]
    told.gate.wait_reached(2)
    last = submit(env, waiting)
    told.gate.open()
    assert_done_once(env, *jobs, last)
    assert [event["to"] for job in jobs for event in env.service.events(job.id)].count("queued") == len(jobs)


def test_a_high_job_that_is_resumed_takes_a_slot_too(env: Environment, told: Told) -> None:
    high = submit(env, HIGH)
    told.gate.wait_reached(1)
    env.ask_for(high, State.PAUSING)
    told.gate.open(1)
    env.wait_for(high, State.PAUSED)
    first, second = submit(env, NORMAL), submit(env, NORMAL)
    told.gate.wait_reached(3)
    env.service.resume(high.id, "Ann", 0)
    wait_marked(env, second)
    told.gate.open()
    assert_done_once(env, first, second, high)


def test_whatever_is_full_gives_way_to_as_many_as_wait(env: Environment, told: Told) -> None:
    jobs = [submit(env, NORMAL), submit(env, LOW)]
    told.gate.wait_reached(2)
    high = [submit(env, HIGH) for _ in range(4)]
    for job in jobs:
        wait_marked(env, job)
    told.gate.open(2)
    told.gate.wait_reached(4)
    assert [env.job(job).state for job in (*jobs, *high[:2])] == [State.QUEUED] * 2 + [State.RUNNING] * 2
    told.gate.open()
    assert_done_once(env, *jobs, *high)
