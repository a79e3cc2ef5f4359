"""Users share the slots: within a priority, each has one job to a turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert, text

from jobsvc.clock import now
from jobsvc.identifiers import Priority
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.jobs.transition import transition
from jobsvc.runs.sharing.turns import next_turn
from jobsvc.service.new_job import NewJob
from jobsvc.store.queries import job_rows
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.tables import job_events, job_log, jobs, turns
from tests.support.environment import Environment
from tests.support.waiting import noted_commits

pytestmark = pytest.mark.both_databases


def submit(env: Environment, user: str, priority: Priority = Priority.NORMAL) -> Job:
    new = NewJob(env.service.new_id(user, "gated"), "gated", user, {}, priority=priority)
    return env.service.submit(new)


def begin(env: Environment) -> Job:
    job = env.runner.claim()
    assert job is not None
    return job


def end(env: Environment, job: Job, state: State = State.SUCCEEDED) -> None:
    with env.database.write() as connection:
        assert transition(connection, env.job(job), state, who="a test", at=now())


def drained(env: Environment) -> list[str]:
    """The users of all queued jobs, as they are claimed."""
    users = []
    while (job := env.runner.claim()) is not None:
        users.append(job.user)
    return users


def test_the_first_job_of_a_user_waits_for_one_of_another_at_most(idle: Environment) -> None:
    for _ in range(20):
        submit(idle, "Ann")
    for _ in range(8):
        begin(idle)
    submit(idle, "Bob")
    assert drained(idle)[:2].count("Bob") == 1


def test_users_take_turns_however_many_jobs_each_has(idle: Environment) -> None:
    for user, count in (("Ann", 6), ("Bob", 3), ("Cem", 2)):
        for _ in range(count):
            submit(idle, user)
    order = drained(idle)
    assert [sorted(order[:3]), sorted(order[3:6]), sorted(order[6:8])] == [
        ["Ann", "Bob", "Cem"],
        ["Ann", "Bob", "Cem"],
        ["Ann", "Bob"],
    ]


def test_a_user_who_comes_later_has_no_turns_to_catch_up_on(idle: Environment) -> None:
    for _ in range(30):
        submit(idle, "Ann")
    for _ in range(10):
        begin(idle)
    for _ in range(10):
        submit(idle, "Bob")
    assert drained(idle)[:8].count("Bob") == 4


def test_whoever_sends_one_job_after_another_passes_nobody_who_waits(idle: Environment) -> None:
    for _ in range(30):
        submit(idle, "Ann")
    users = []
    for _ in range(20):
        submit(idle, "Bob")
        job = begin(idle)
        users.append(job.user)
        end(idle, job)
    assert users.count("Ann") >= 10


def test_a_user_who_had_the_service_alone_for_long_does_not_wait_for_that(idle: Environment) -> None:
    for _ in range(20):
        submit(idle, "Ann")
        end(idle, begin(idle))
    for _ in range(5):
        submit(idle, "Bob")
    submit(idle, "Ann")
    # Bob comes in at the turn that Ann has had, and then both have one.
    assert "Ann" in drained(idle)[:3]


def test_jobs_that_were_taken_out_of_the_queue_cost_their_user_no_turns(idle: Environment) -> None:
    """Somebody who has sent a thousand jobs by mistake, and has ended them, is not a thousand turns late."""
    for job in [submit(idle, "Ann") for _ in range(10)]:
        idle.service.terminate(job.id, "Ann", 0)
    for _ in range(5):
        submit(idle, "Bob")
    submit(idle, "Ann")
    assert "Ann" in drained(idle)[:2]


def test_a_higher_priority_goes_first_and_has_turns_of_its_own(idle: Environment) -> None:
    for user in ("Ann", "Ann", "Bob"):
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            submit(idle, user, priority)
    order = [(job.priority, job.user) for job in iter(idle.runner.claim, None) if job is not None]
    assert [priority for priority, _ in order] == sorted(priority for priority, _ in order)
    assert [sorted(user for _, user in order[start : start + 2]) for start in (0, 3, 6)] == [["Ann", "Bob"]] * 3


def test_a_job_that_was_under_way_goes_before_all_that_have_not_begun(idle: Environment) -> None:
    for _ in range(3):
        submit(idle, "Ann")
    begin(idle)
    second = begin(idle)
    submit(idle, "Bob")
    end(idle, second, State.INTERRUPTED)
    end(idle, second, State.QUEUED)
    assert begin(idle).key == second.key


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with noted_commits() as commits:
        env = Environment.build(Path(tmp_path_factory.mktemp("turns")), commits, max_queued=10_000)
        # A power cut is nothing that is tested here.
        event.listen(env.database.backend.engine, "connect", lambda made, _: made.execute("PRAGMA synchronous=OFF"))
        yield env
        env.database.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(0, 3)),
        st.tuples(st.just("begin"), st.just(0)),
        st.tuples(st.just("begin"), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 7)),
    ),
    min_size=10,
    max_size=70,
)


class Passed:
    """How often each user who has jobs queued was passed by each other one, since they began to wait."""

    def __init__(self) -> None:
        self.waiting = Counter[int]()
        self.known: set[int] = set()
        self.most: dict[int, int] = {}
        self.by: dict[int, Counter[int]] = {}

    def submitted(self, user: int) -> None:
        if not self.waiting[user]:
            # One who comes back may have had this turn, and waits for the end of it.
            self.most[user] = 2 if user in self.known else 1
            self.by[user] = Counter()
            for other, passed in self.by.items():
                # What others had while this one did not wait is no credit of its own.
                passed[user] = max(passed[user], passed[other])
                self.most[other] = 2
        self.waiting[user] += 1

    def begun(self, user: int) -> None:
        self.known.add(user)
        self.waiting[user] -= 1
        for other, passed in self.by.items():
            if other != user and self.waiting[other]:
                passed[user] += 1
                worst = passed[user] - passed[other]
                assert worst <= self.most[other], f"{user} has passed {other} by {worst} jobs"
        if self.waiting[user]:
            self.by[user][user] += 1


@pytest.mark.sqlite_only
@settings(max_examples=80, deadline=None)
@given(steps=STEPS)
def test_no_user_is_passed_over_by_more_than_one_turn_of_each_other_user(
    shared: Environment, steps: list[tuple[str, int]]
) -> None:
    with shared.database.write() as connection:
        for table in (job_log, job_events, jobs, turns):
            connection.execute(delete(table))
    passed, running = Passed(), list[Job]()
    for step, which in steps:
        if step == "submit":
            submit(shared, f"user-{which}")
            passed.submitted(which)
        elif step == "begin" and (job := shared.runner.claim()) is not None:
            running.append(job)
            passed.begun(int(job.user[-1]))
        elif step == "end" and running:
            end(shared, running.pop(which % len(running)))


@pytest.mark.sqlite_only
def test_the_next_job_and_the_next_turn_are_found_by_an_index(idle: Environment) -> None:
    """Among many queued jobs a claim, or a submit, must not look at all of them."""
    values = {"kind": "gated", "params": {}, "state": State.QUEUED, "created_at": now(), "queued_at": now()}
    with idle.database.write() as connection:
        rows = [{**values, "id": str(n), "user": f"u{n % 7}", "turn": n // 7 + 1} for n in range(2000)]
        connection.execute(insert(jobs), rows)
        statements: list[tuple[str, object]] = []
        event.listen(connection, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
        job_rows.first_in_state(connection, State.QUEUED, Due(now(), now()))
        next_turn(connection, "u1", Priority.NORMAL)
        asked = list(statements)
        plans = {
            statement: [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
            for statement, values in asked
        }
    assert len(plans) == 3
    for statement, plan in plans.items():
        assert not [line for line in plan if "TEMP B-TREE" in line or line.startswith("SCAN")], (statement, plan)
    used = " ".join(line for plan in plans.values() for line in plan)
    assert "jobs_turns (state=?)" in used
    assert "jobs_user_turns (user=? AND priority=?)" in used
    with idle.database.write() as connection:
        connection.execute(text("DELETE FROM jobs"))
