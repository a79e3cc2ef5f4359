from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread

import pytest

from jobsvc.clock import now
from jobsvc.jobs.errors import NotAllowed, QueueFull, UnknownJob
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs.signals import Signals
from jobsvc.store.queries import job_rows
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases

BOB = "Bob"


def put(idle: Environment, state: State, attempt: int = 0) -> Job:
    """A job that was put in a state, with no run."""
    job = idle.submit()
    with idle.database.write() as connection:
        values = {"state": state, "attempt": attempt, "error": "broken", "queued_at": datetime(2026, 1, 1, tzinfo=UTC)}
        job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values=values)
    return idle.job(job)


def thread_of(call: Callable[[], Job], answers: list[Job]) -> Thread:
    thread = Thread(target=lambda: answers.append(call()))
    thread.start()
    return thread


# What is asked, for every state in which there is no run.


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.QUEUED, State.PAUSED),
        (State.RUNNING, State.PAUSED),
        (State.PAUSING, State.PAUSED),
        (State.PAUSED, State.PAUSED),
        (State.INTERRUPTED, State.PAUSED),
        (State.TERMINATING, None),
        (State.TERMINATED, None),
        (State.SUCCEEDED, None),
        (State.FAILED, None),
    ],
)
def test_pause_without_a_run(idle: Environment, state: State, after: State | None) -> None:
    job = put(idle, state)
    if after is None:
        with pytest.raises(NotAllowed):
            idle.service.pause(job.id, BOB, 0)
    else:
        assert idle.service.pause(job.id, BOB, 0).state is after
    assert idle.job(job).state is (after or state)


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.QUEUED, State.QUEUED),
        (State.RUNNING, State.RUNNING),
        (State.PAUSING, State.QUEUED),
        (State.PAUSED, State.QUEUED),
        (State.INTERRUPTED, State.QUEUED),
        (State.FAILED, State.QUEUED),
        (State.TERMINATING, None),
        (State.TERMINATED, None),
        (State.SUCCEEDED, None),
    ],
)
def test_resume_without_a_run(idle: Environment, state: State, after: State | None) -> None:
    job = put(idle, state)
    if after is None:
        with pytest.raises(NotAllowed):
            idle.service.resume(job.id, BOB, 0)
        assert idle.job(job) == job
        return
    resumed = idle.service.resume(job.id, BOB, 0)
    assert resumed.state is after
    if after is State.QUEUED and state is not State.QUEUED:
        assert resumed.error is None
        assert resumed.queued_at > job.queued_at, "a resumed job goes to the end of the queue"
    else:
        assert resumed == job


@pytest.mark.parametrize(
    ("state", "after"),
    [
        (State.QUEUED, State.TERMINATED),
        (State.RUNNING, State.TERMINATED),
        (State.PAUSING, State.TERMINATED),
        (State.PAUSED, State.TERMINATED),
        (State.INTERRUPTED, State.TERMINATED),
        (State.TERMINATING, State.TERMINATED),
        (State.TERMINATED, State.TERMINATED),
        (State.SUCCEEDED, None),
        (State.FAILED, None),
    ],
)
def test_terminate_without_a_run(idle: Environment, state: State, after: State | None) -> None:
    job = put(idle, state)
    if after is None:
        with pytest.raises(NotAllowed):
            idle.service.terminate(job.id, BOB, 0)
    else:
        assert idle.service.terminate(job.id, BOB, 0).state is after
    assert idle.job(job).state is (after or state)


@pytest.mark.parametrize("ask", ["pause", "resume", "terminate"])
def test_what_is_asked_of_a_job_that_is_not_there_is_refused(idle: Environment, ask: str) -> None:
    with pytest.raises(UnknownJob):
        getattr(idle.service, ask)("nobody", BOB, 0)


def test_a_full_queue_takes_no_more_until_there_is_room(make_env: Callable[..., Environment]) -> None:
    env = make_env(start=False, max_queued=2)
    jobs = [env.submit(), env.submit()]
    with pytest.raises(QueueFull):
        env.submit()
    env.service.pause(jobs[0].id, BOB, 0)
    env.submit()


# What is asked while a run is held at an exact item.


def test_a_pause_of_a_running_job_is_obeyed_before_the_next_item(env: Environment) -> None:
    job = env.submit_reached(4)
    assert env.service.pause(job.id, BOB, 0).state is State.PAUSING
    assert env.rows(job) == [1, 2, 3]
    env.gated.gate.open()
    paused = env.wait_for(job, State.PAUSED)
    assert paused.done == 4
    assert env.rows(job) == [1, 2, 3, 4]
    assert env.gated.gate.reached == 4
    assert env.history(job) == [
        (None, "queued", WHO),
        ("queued", "running", "engine"),
        ("running", "pausing", BOB),
        ("pausing", "paused", "run"),
    ]


def test_a_pause_commits_part_of_a_batch(env: Environment) -> None:
    job = env.submit_reached(6, batch=4)
    assert env.rows(job) == [1, 2, 3, 4]
    env.service.pause(job.id, BOB, 0)
    env.gated.gate.open()
    assert env.wait_for(job, State.PAUSED).done == 6
    assert env.rows(job) == [1, 2, 3, 4, 5, 6]
    env.service.resume(job.id, BOB, 0)
    assert env.wait_for(job, State.SUCCEEDED).done == 10
    assert env.rows(job) == list(range(1, 11))


def test_a_pause_that_waits_is_answered_once_the_run_has_obeyed(env: Environment) -> None:
    job = env.submit_reached(1)
    answers: list[Job] = []
    waiting = thread_of(lambda: env.service.pause(job.id, BOB, TIMEOUT), answers)
    env.wait_for(job, State.PAUSING)
    env.gated.gate.open()
    waiting.join(TIMEOUT)
    assert [(answer.state, answer.done) for answer in answers] == [(State.PAUSED, 1)]


def test_pausing_again_is_harmless(env: Environment) -> None:
    job = env.submit_reached(1)
    for _ in range(2):
        assert env.service.pause(job.id, BOB, 0).state is State.PAUSING
    env.gated.gate.open()
    env.wait_for(job, State.PAUSED)
    lines = env.history(job)
    assert env.service.pause(job.id, BOB, 0).state is State.PAUSED
    assert env.history(job) == lines
    assert len(lines) == 4


def test_a_job_that_was_paused_in_the_queue_is_passed_over(env: Environment) -> None:
    first = env.submit_reached(1, count=1)
    second, third = env.submit(count=1), env.submit(count=1)
    assert env.service.pause(second.id, BOB, 0).state is State.PAUSED
    env.gated.gate.open()
    env.wait_for(first, State.SUCCEEDED)
    env.wait_for(third, State.SUCCEEDED)
    assert env.job(second).state is State.PAUSED
    assert env.rows(second) == []
    assert (None, "queued", WHO) in env.history(second)
    assert ("queued", "paused", BOB) in env.history(second)


def test_a_pause_during_the_last_item_leaves_a_paused_job_that_has_nothing_left_to_do(env: Environment) -> None:
    job = env.submit_reached(3, count=3)
    env.service.pause(job.id, BOB, 0)
    env.gated.gate.open()
    assert env.wait_for(job, State.PAUSED, State.SUCCEEDED).done == 3
    env.service.resume(job.id, BOB, 0)
    env.wait_for(job, State.SUCCEEDED)
    assert env.gated.gate.reached == 3
    assert env.rows(job) == [1, 2, 3]


def test_resume_waits_for_a_pause_under_way(env: Environment) -> None:
    job = env.submit_reached(1)
    env.service.pause(job.id, BOB, 0)
    with pytest.raises(NotAllowed):
        env.service.resume(job.id, BOB, 0)
    answers: list[Job] = []
    waiting = thread_of(lambda: env.service.resume(job.id, BOB, TIMEOUT), answers)
    env.gated.gate.open(2)
    waiting.join(TIMEOUT)
    assert [answer.state for answer in answers] in ([State.QUEUED], [State.RUNNING])
    env.gated.gate.wait_reached(3)
    assert env.rows(job) == [1, 2]
    assert env.job(job).attempt == 2


def test_resume_in_mid_run_is_harmless(env: Environment) -> None:
    job = env.submit_reached(2)
    assert env.service.resume(job.id, BOB, 0) == job
    env.gated.gate.open()
    assert env.wait_for(job, State.SUCCEEDED).attempt == 1


def test_a_terminated_run_stops_before_the_next_item_and_keeps_what_was_done(env: Environment) -> None:
    job = env.submit_reached(3)
    assert env.service.terminate(job.id, BOB, 0).state is State.TERMINATING
    env.gated.gate.open()
    assert env.wait_for(job, State.TERMINATED).finished_at is not None
    assert env.rows(job) == [1, 2, 3]
    assert env.history(job)[2:] == [("running", "terminating", BOB), ("terminating", "terminated", "run")]
    with pytest.raises(NotAllowed):
        env.service.resume(job.id, BOB, 0)


def test_terminate_overtakes_a_pause_under_way(env: Environment) -> None:
    job = env.submit_reached(2)
    env.service.pause(job.id, BOB, 0)
    assert env.service.terminate(job.id, BOB, 0).state is State.TERMINATING
    with pytest.raises(NotAllowed):
        env.service.pause(job.id, BOB, 0)
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED)
    assert env.rows(job) == [1, 2]


def test_a_paused_job_is_terminated_at_once_and_its_thread_ends(env: Environment) -> None:
    job = env.submit_reached(1)
    env.service.pause(job.id, BOB, 0)
    env.gated.gate.open(1)
    env.wait_for(job, State.PAUSED)
    live = env.engine._live[job.key]
    env.wait_left(job)
    assert env.service.terminate(job.id, BOB, 0).state is State.TERMINATED
    live.thread.join(TIMEOUT)
    assert not live.thread.is_alive()
    assert env.history(job)[-2:] == [("paused", "terminating", BOB), ("terminating", "terminated", "service")]
    env.gated.gate.open()
    assert env.rows(job) == [1]


def test_terminate_during_the_last_item_is_obeyed(env: Environment) -> None:
    job = env.submit_reached(2, count=2)
    env.service.terminate(job.id, BOB, 0)
    env.gated.gate.open()
    env.wait_for(job, State.TERMINATED, State.SUCCEEDED)
    assert env.job(job).state is State.TERMINATED


def test_a_failed_job_goes_on_at_its_cursor_once_the_cause_is_mended(env: Environment) -> None:
    env.gated.gate.open()
    job = env.submit(fail_at=6, batch=2)
    failed = env.wait_for(job, State.FAILED)
    assert failed.error == "RuntimeError: item 6 broke"
    assert env.rows(job) == [1, 2, 3, 4, 5], "what was done before the item that broke is kept"
    assert failed.done == 5
    with env.database.write() as connection:
        job_rows.change(connection, job.key, attempt=1, state=State.FAILED, values={"params": {"batch": 2}})
    resumed = env.service.resume(job.id, BOB, 0)
    assert (resumed.error, resumed.finished_at) == (None, None)
    done = env.wait_for(job, State.SUCCEEDED)
    assert (done.done, done.attempt) == (10, 2)
    assert env.rows(job) == list(range(1, 11))
    assert env.history(job) == [
        (None, "queued", WHO),
        ("queued", "running", "engine"),
        ("running", "failed", "run"),
        ("failed", "queued", BOB),
        ("queued", "running", "engine"),
        ("running", "succeeded", "run"),
    ]


def test_every_line_of_the_history_says_when_and_why(env: Environment) -> None:
    begun = now()
    env.gated.gate.open()
    job = env.submit()
    env.wait_for(job, State.SUCCEEDED)
    lines = env.service.events(job.id)
    assert [line["why"] for line in lines] == [
        "the job was submitted",
        "a slot was free",
        "every item was done or refused",
    ]
    times = [begun, *(line["at"] for line in lines), now()]
    assert times == sorted(times)


# A run that lost its job.


@pytest.mark.parametrize("state", [State.RUNNING, State.QUEUED, State.PAUSED, State.TERMINATED, State.PAUSING])
def test_a_run_whose_job_was_given_a_newer_attempt_leaves_no_effect(env: Environment, state: State) -> None:
    job = env.submit_reached(3)
    with env.database.write() as connection:
        assert job_rows.change(connection, job.key, attempt=1, state="running", values={"attempt": 2, "state": state})
    taken_over = env.job(job)
    assert taken_over.done == 2
    env.gated.gate.open()
    env.wait_left(job)
    assert env.rows(job) == [1, 2]
    if state is not State.QUEUED:
        assert env.job(job) == taken_over
        assert env.gated.gate.reached == 3
    else:
        done = env.wait_for(job, State.SUCCEEDED)
        assert (done.attempt, done.done) == (3, 10)


@pytest.mark.parametrize("state", [State.QUEUED, State.PAUSED, State.INTERRUPTED, State.TERMINATED, State.SUCCEEDED])
def test_a_run_whose_job_was_settled_without_it_leaves_no_effect(idle: Environment, state: State) -> None:
    idle.submit()
    job = idle.runner.claim()
    assert job is not None
    with idle.database.write() as connection:
        assert job_rows.change(connection, job.key, attempt=1, state="running", values={"state": state})
    idle.gated.gate.open()
    assert idle.runner.run(job, Signals()) is None
    assert idle.rows(job) == []
    assert idle.job(job) == replace(job, state=state)


def test_a_late_run_can_not_record_a_failure_either(idle: Environment) -> None:
    idle.submit(fail_at=1)
    job = idle.runner.claim()
    assert job is not None
    with idle.database.write() as connection:
        job_rows.change(connection, job.key, attempt=1, state="running", values={"attempt": 2})
    idle.gated.gate.open()
    assert idle.runner.run(job, Signals()) is None
    assert (idle.job(job).state, idle.job(job).error) == (State.RUNNING, None)


def test_a_pause_between_a_job_s_claim_and_its_run_is_obeyed(make_env: Callable[..., Environment]) -> None:
    claimed, go_on = Event(), Event()

    def claiming(claim: Callable[[], Job | None]) -> Callable[[], Job | None]:
        def held() -> Job | None:
            job = claim()
            if job is not None and job.attempt == 1:
                claimed.set()
                assert go_on.wait(TIMEOUT)
            return job

        return held

    env = make_env(claiming=claiming)
    env.gated.gate.open()
    job = env.submit()
    assert claimed.wait(TIMEOUT)
    answers: list[Job] = []
    asking = thread_of(lambda: env.service.pause(job.id, BOB, TIMEOUT), answers)
    env.wait_for(job, State.PAUSING)
    assert answers == [], "it was acknowledged while nobody knew where the run was"
    go_on.set()
    asking.join(TIMEOUT)
    (answer,) = answers
    assert answer.state is State.PAUSED
    processed = env.gated.gate.reached
    assert env.rows(job) == list(range(1, processed + 1))
    # With the gate wide open, the run's thread is let go to its very end.
    assert env.engine.shut_down(TIMEOUT) == []
    assert env.gated.gate.reached == processed, "an item was processed after the stop had been acknowledged"
    assert env.rows(job) == list(range(1, processed + 1))
    assert env.job(job) == answer
