"""Actions on many jobs, step by step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from jobsvc.clock import now
from jobsvc.jobs.bulk_action import BulkAction, Demand, Filter, Verb
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.service.actions import carrying_out
from jobsvc.service.actions.asking import NewAction
from jobsvc.service.actions.carrying_out import Step
from jobsvc.service.actions.one_job import LOCKED, PAUSING, TAKEN
from jobsvc.service.retention import Retention, RetentionPolicy
from jobsvc.store.queries import action_rows
from tests.support.environment import WHO, Environment

pytestmark = pytest.mark.both_databases

BOSS = "Olga"


def ask(env: Environment, verb: Verb, *, rollback: bool = False, **named: Any) -> BulkAction:
    demand = Demand(verb, Filter(**named), rollback)
    return env.core.actions(env.service).ask(NewAction(demand, BOSS), 0)


def carry_out(env: Environment, **more: Any) -> carrying_out.CarryingOut:
    core, service = env.core, env.service
    parts = (env.database, service.steering, service.settling, env.engines.runs, env.engines.rollbacks)
    return carrying_out.CarryingOut(*parts, env.notifier, core.now, **more)


def finish(env: Environment, action: BulkAction, steps: Callable[[], Step] | None = None) -> BulkAction:
    """Make steps until there is nothing left to do."""
    steps = steps or carry_out(env).step
    while steps() is not Step.NOTHING_TO_DO:
        pass
    return look(env, action)


def look(env: Environment, action: BulkAction) -> BulkAction:
    return env.core.actions(env.service).get(action.id)


def states(env: Environment, jobs: list[Job]) -> list[State]:
    return [env.job(job).state for job in jobs]


def counts(action: BulkAction) -> tuple[int | None, int, int, dict[str, int]]:
    """found, done, already, skipped by reason."""
    return action.found, action.done, action.already, {why: one.count for why, one in action.skipped.items()}


def queue(env: Environment) -> list[str]:
    """The ids of the jobs that wait, in their order."""
    with env.database.read() as connection:
        query = text("SELECT id FROM jobs WHERE state = 'queued' ORDER BY queued_at, key")
        return list(connection.execute(query).scalars())


def test_what_an_action_paused_is_resumed_in_its_order_and_what_others_paused_is_not(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(6)]
    others, mine = [jobs[1], jobs[4]], [jobs[0], jobs[2], jobs[3], jobs[5]]
    for job in others:
        idle.service.pause(job.id, WHO, 0)
    pause = finish(idle, ask(idle, Verb.PAUSE))
    assert counts(pause) == (6, 4, 2, {})
    assert pause.is_over
    assert states(idle, jobs) == [State.PAUSED] * 6
    resume = finish(idle, ask(idle, Verb.RESUME, paused_by=pause.id))
    assert counts(resume) == (4, 4, 0, {})
    assert states(idle, others) == [State.PAUSED] * 2
    assert queue(idle) == [job.id for job in mine]
    assert finish(idle, ask(idle, Verb.RESUME, paused_by=pause.id)).found == 0, "there is nothing left of it"


def test_the_history_says_who_has_asked_and_by_which_action(idle: Environment) -> None:
    job = idle.submit()
    pause = finish(idle, ask(idle, Verb.PAUSE))
    last = idle.service.events(job.id)[-1]
    assert (last["from"], last["to"], last["who"]) == ("queued", "paused", BOSS)
    assert last["why"].endswith(f"; by action {pause.id}")


def test_a_job_that_somebody_has_paused_or_resumed_since_is_left_alone(idle: Environment) -> None:
    jobs = kept, resumed, again, both = [idle.submit() for _ in range(4)]
    pause = finish(idle, ask(idle, Verb.PAUSE))
    idle.service.pause(again.id, WHO, 0)
    idle.service.resume(resumed.id, WHO, 0)
    idle.service.resume(both.id, WHO, 0)
    idle.service.pause(both.id, WHO, 0)
    resume = ask(idle, Verb.RESUME, paused_by=pause.id)
    assert resume.found == 1
    finish(idle, resume)
    assert states(idle, jobs) == [State.QUEUED, State.QUEUED, State.PAUSED, State.PAUSED]
    assert kept.id in queue(idle)


def test_a_job_that_somebody_takes_before_its_turn_is_passed_over(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(2)]
    pause = finish(idle, ask(idle, Verb.PAUSE))
    resume = ask(idle, Verb.RESUME, paused_by=pause.id)
    idle.service.pause(jobs[0].id, WHO, 0)
    resume = finish(idle, resume)
    assert counts(resume) == (2, 1, 0, {TAKEN: 1})
    assert resume.skipped[TAKEN].ids == (jobs[0].id,)
    assert states(idle, jobs) == [State.PAUSED, State.QUEUED]


def test_a_job_that_runs_obeys_and_goes_on(env: Environment) -> None:
    job = env.submit_reached(2)
    pause = finish(env, ask(env, Verb.PAUSE))
    assert (pause.done, pause.stopping, pause.is_over) == (1, 1, False)
    env.gated.gate.open(1)
    env.wait_for(job, State.PAUSED)
    assert look(env, pause).is_over
    assert env.rows(job) == [1, 2], "what was under way was finished, and nothing more was begun"
    finish(env, ask(env, Verb.RESUME, paused_by=pause.id))
    env.gated.gate.open()
    env.wait_for(job, State.SUCCEEDED)
    assert env.rows(job) == list(range(1, 11))


def test_whatever_takes_a_job_elsewhere_takes_it_from_the_action_that_has_paused_it(idle: Environment) -> None:
    job = idle.submit()
    pause = finish(idle, ask(idle, Verb.PAUSE))
    idle.ask_for(job, State.QUEUED)
    idle.ask_for(job, State.PAUSED)
    assert ask(idle, Verb.RESUME, paused_by=pause.id).found == 0


def test_a_resume_waits_for_a_job_that_is_pausing(env: Environment) -> None:
    job = env.submit_reached(1)
    pause = finish(env, ask(env, Verb.PAUSE))
    resume = ask(env, Verb.RESUME, paused_by=pause.id)
    step = carry_out(env).step
    assert step() is Step.MADE, "it is put aside"
    assert step() is Step.WAITING
    env.gated.gate.open(1)
    env.wait_for(job, State.PAUSED)
    resume = finish(env, resume, step)
    assert counts(resume) == (1, 1, 0, {})
    env.gated.gate.open()
    env.wait_for(job, State.SUCCEEDED)


def test_once_the_patience_is_over_a_job_that_is_still_pausing_is_passed_over(env: Environment) -> None:
    job = env.submit_reached(1)
    pause = finish(env, ask(env, Verb.PAUSE))
    resume = finish(env, ask(env, Verb.RESUME, paused_by=pause.id), carry_out(env, patience=0).step)
    assert counts(resume) == (1, 0, 0, {PAUSING: 1})
    assert env.job(job).state is State.PAUSING


def test_a_job_that_is_pausing_does_not_keep_the_next_action_waiting(env: Environment) -> None:
    job = env.submit_reached(1)
    pause = finish(env, ask(env, Verb.PAUSE))
    resume = ask(env, Verb.RESUME, paused_by=pause.id)
    ask(env, Verb.TERMINATE)
    finish(env, resume)
    assert look(env, resume).skipped[PAUSING].count == 1
    assert env.job(job).state is State.TERMINATING


def test_a_step_that_dies_has_done_nothing_and_the_next_one_does_it_all(
    idle: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_out, "JOBS_AT_A_TIME", 2)
    jobs = [idle.submit() for _ in range(4)]
    action = ask(idle, Verb.PAUSE)
    assert carry_out(idle).step() is Step.MADE

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(action_rows, "note_done", die)
        with pytest.raises(KeyboardInterrupt):
            carry_out(idle).step()
    assert states(idle, jobs) == [State.QUEUED, State.QUEUED, State.PAUSED, State.PAUSED], "the end of the queue first"
    assert (look(idle, action).done, look(idle, action).left) == (2, 2)
    assert counts(finish(idle, action)) == (4, 4, 0, {})
    assert states(idle, jobs) == [State.PAUSED] * 4


def test_jobs_that_come_later_are_not_touched_also_if_the_action_has_to_wait_for_its_turn(idle: Environment) -> None:
    early = idle.submit()
    first = ask(idle, Verb.TERMINATE, user="Nobody else", kind="gated", states=(State.QUEUED,))
    assert first.found == 0
    first, second = ask(idle, Verb.PAUSE), ask(idle, Verb.PAUSE)
    late = idle.submit()
    assert (first.found, second.found) == (1, None)
    assert counts(finish(idle, second)) == (1, 0, 1, {})
    assert states(idle, [early, late]) == [State.PAUSED, State.QUEUED]


def test_actions_are_carried_out_in_the_order_in_which_they_were_asked(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(3)]
    pause = ask(idle, Verb.PAUSE)
    resume = ask(idle, Verb.RESUME, paused_by=pause.id)
    assert counts(finish(idle, resume)) == (3, 3, 0, {})
    assert states(idle, jobs) == [State.QUEUED] * 3


@pytest.mark.postgresql_only
def test_two_processes_do_everything_once_together(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying_out, "JOBS_AT_A_TIME", 3)
    jobs = [idle.submit() for _ in range(40)]
    action = ask(idle, Verb.PAUSE)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(finish, idle, action) for _ in range(2)]:
            done.result()
    assert counts(look(idle, action)) == (40, 40, 0, {})
    assert all(len(idle.history(job)) == 2 for job in jobs)


@pytest.mark.postgresql_only
def test_a_job_whose_row_is_locked_keeps_no_other_waiting(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying_out, "LOCK_SECONDS", 0.05)
    locked, free = idle.submit(), idle.submit()
    action = ask(idle, Verb.PAUSE)
    with idle.database.write() as connection:
        connection.execute(text("SELECT key FROM jobs WHERE id = :id FOR NO KEY UPDATE"), {"id": locked.id})
        step = carry_out(idle).step
        assert step() is Step.MADE
        assert idle.job(free).state is State.PAUSED
        assert step() is Step.WAITING
    assert counts(finish(idle, action, step)) == (2, 2, 0, {})
    with idle.database.write() as connection:
        connection.execute(text("SELECT key FROM jobs WHERE id = :id FOR NO KEY UPDATE"), {"id": locked.id})
        resume = finish(idle, ask(idle, Verb.RESUME), carry_out(idle, patience=0).step)
    assert counts(resume) == (2, 1, 0, {LOCKED: 1})


def test_jobs_whose_state_does_not_allow_it_are_counted_and_left_alone(idle: Environment) -> None:
    done, waiting = idle.submit(), idle.submit()
    idle.service.terminate(done.id, WHO, 0)
    action = finish(idle, ask(idle, Verb.PAUSE))
    assert counts(action) == (2, 1, 0, {"it is terminated: it can't be paused": 1})
    assert action.skipped["it is terminated: it can't be paused"].ids == (done.id,)
    assert counts(finish(idle, ask(idle, Verb.TERMINATE))) == (2, 1, 1, {})
    assert states(idle, [done, waiting]) == [State.TERMINATED] * 2


def test_what_is_rolled_back_is_what_has_ended(env: Environment) -> None:
    env.gated.gate.open(2)
    done = env.submit(count=2)
    env.wait_for(done, State.SUCCEEDED)
    running = env.submit_reached(1)
    action = ask(env, Verb.ROLL_BACK)
    assert counts(action) == (2, 0, 0, {"it is running: it can't be rolled back before it is terminated": 1})
    assert finish(env, action).done == 1
    env.wait_for(done, State.TERMINATED)
    assert env.rows(done) == []
    assert look(env, action).is_over
    assert env.job(running).state is State.RUNNING
    again = ask(env, Verb.ROLL_BACK)
    assert finish(env, again).already == 1


def test_what_is_rolled_back_already_is_counted_so_also_by_a_dry_run(env: Environment) -> None:
    env.gated.gate.open(4)
    done, other = env.submit(count=2), env.submit(count=2)
    for job in (done, other):
        env.wait_for(job, State.SUCCEEDED)
    env.service.roll_back(done.id, WHO, 30)
    third = env.submit(count=2)
    env.gated.gate.wait_reached(5)
    env.service.terminate(third.id, WHO, 0)
    env.gated.gate.open()
    env.wait_for(third, State.TERMINATED)
    actions = env.core.actions(env.service)
    for demand in (
        Demand(Verb.ROLL_BACK, Filter()),
        Demand(Verb.TERMINATE, Filter(states=(State.TERMINATED,)), rollback=True),
    ):
        preview = actions.preview(demand)
        assert preview.already == 1
        assert preview.would_do == preview.found - 1
        assert done.id not in preview.ids
    action = finish(env, ask(env, Verb.ROLL_BACK))
    assert counts(action) == (3, 2, 1, {})


def test_a_job_that_runs_can_be_terminated_and_rolled_back_and_what_is_done_stays(env: Environment) -> None:
    env.gated.gate.open(2)
    done = env.submit(count=2)
    env.wait_for(done, State.SUCCEEDED)
    running = env.submit_reached(2)
    action = finish(env, ask(env, Verb.TERMINATE, rollback=True))
    assert action.done == 1
    assert list(action.skipped) == [
        "it is succeeded: it is terminated and rolled back only where the filter says state=succeeded"
    ]
    env.gated.gate.open()
    env.wait_for(running, State.TERMINATED)
    assert env.job(running).rolled_back
    assert (env.rows(running), env.rows(done)) == ([], [1, 2])


def test_failed_jobs_are_resumed_only_where_they_are_named(env: Environment) -> None:
    env.gated.gate.open(1)
    job = env.submit(fail_at=1)
    env.wait_for(job, State.FAILED)
    assert counts(finish(env, ask(env, Verb.RESUME)))[:3] == (1, 0, 0)
    assert env.job(job).state is State.FAILED
    assert finish(env, ask(env, Verb.RESUME, states=(State.FAILED,))).done == 1
    assert env.job(job).state is not State.FAILED


def test_states_that_are_named_are_meant_beside_others(env: Environment) -> None:
    env.gated.gate.open(2)
    done = env.submit(count=2)
    env.wait_for(done, State.SUCCEEDED)
    waiting = env.submit_reached(2)
    named = (State.RUNNING, State.SUCCEEDED)
    action = ask(env, Verb.TERMINATE, rollback=True, states=named)
    assert action.demand.filter == Filter(states=named)
    env.gated.gate.open()
    assert finish(env, action).done == 2
    for job in (done, waiting):
        env.wait_for(job, State.TERMINATED)
        assert env.job(job).rolled_back


@pytest.mark.parametrize("states", [(), (State.QUEUED,), (State.QUEUED, State.PAUSED)])
def test_only_jobs_with_the_text_are_meant(idle: Environment, states: tuple[State, ...]) -> None:
    wanted, other = idle.submit(), idle.submit()
    named = Filter(states=states, text=wanted.id.upper())
    actions = idle.core.actions(idle.service)
    assert actions.preview(Demand(Verb.TERMINATE, named)).ids == [wanted.id]
    action = finish(idle, actions.ask(NewAction(Demand(Verb.TERMINATE, named), BOSS), 0))
    assert (action.found, action.done, action.demand.filter) == (1, 1, named)
    assert idle.job(other).state is State.QUEUED


@pytest.mark.parametrize(
    "named", [Filter(text="x"), Filter((State.QUEUED,), text="x"), Filter((State.QUEUED, State.PAUSED))]
)
def test_an_older_version_can_not_take_a_filter_for_more_jobs_than_are_meant(named: Filter) -> None:
    stored = named.stored()
    with pytest.raises(ValueError, match="is not a valid State"):
        State(stored["state"])
    assert Filter.read(stored, None) == named


def test_a_filter_that_an_older_version_has_stored_is_read() -> None:
    stored = {"state": None, "kind": "gated", "user": None, "paused_by": None}
    assert Filter.read(stored, "Ann") == Filter(kind="gated", owner="Ann")
    assert Filter.read({**stored, "state": "failed"}, None) == Filter((State.FAILED,), "gated")


def test_a_preview_tells_the_same_and_changes_nothing(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(3)]
    idle.service.pause(jobs[0].id, WHO, 0)
    preview = idle.core.actions(idle.service).preview(Demand(Verb.PAUSE, Filter(kind="gated")))
    assert (preview.found, preview.would_do, preview.already) == (3, 2, 1)
    assert preview.ids == [jobs[1].id, jobs[2].id]
    assert states(idle, jobs) == [State.PAUSED, State.QUEUED, State.QUEUED]
    assert idle.core.actions(idle.service).page(limit=10, after=None).actions == []


def test_an_action_is_forgotten_as_jobs_are_unless_a_job_waits_for_it(idle: Environment) -> None:
    idle.submit()
    pause = finish(idle, ask(idle, Verb.PAUSE))
    day = timedelta(days=1)
    policy = RetentionPolicy(finished=day, files=None, keys=day)

    def known(days: int) -> list[str]:
        Retention(idle.database, idle.files, policy, lambda _: now() + days * day).sweep()
        page = idle.core.actions(idle.service).page(limit=10, after=None)
        return [action.id for action in page.actions]

    assert known(2) == [pause.id], "its job is paused still"
    resume = finish(idle, ask(idle, Verb.RESUME))
    assert known(0) == [resume.id, pause.id]
    assert known(2) == []
