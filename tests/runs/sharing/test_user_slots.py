"""With `threads`: no user has more jobs running than allowed, and others' go before what waits for that."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from jobsvc.clock import now
from jobsvc.identifiers import Priority
from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.runs.crashes import MAX_DELAY_SECONDS
from jobsvc.runs.sharing.giving_way import Place, Waiting, to_give_way
from jobsvc.runs.sharing.user_slots import Left
from jobsvc.service.new_job import NewJob
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.queries.sharing import user_rows
from jobsvc.store.queries.sharing.of_others import first_of_others
from jobsvc.store.tables import jobs
from tests.runs.sharing.test_giving_way import taken
from tests.support.environment import Environment

pytestmark = pytest.mark.both_databases

MakeEnv = Callable[..., Environment]

HIGH = Priority.HIGH


def submit(env: Environment, user: str, priority: Priority = Priority.NORMAL) -> Job:
    new_id = env.service.new_id(user, "gated")
    return env.service.submit(NewJob(new_id, "gated", user, {"count": 3}, priority=priority))


def limited(make_env: MakeEnv, most: int, *, slots: int = 4, start: bool = True) -> Environment:
    return make_env(start=start, slots=slots, limits={"user_max_running": most})


def running(env: Environment, user: str) -> int:
    with env.database.read() as connection:
        return user_rows.running(connection).get(user, 0)


def test_a_users_further_jobs_wait_though_slots_are_free_and_others_go_before(make_env: MakeEnv) -> None:
    env = limited(make_env, 1)
    first, second = submit(env, "ann"), submit(env, "ann")
    bobs = submit(env, "bob")
    env.wait_for(first, State.RUNNING)
    env.wait_for(bobs, State.RUNNING)
    env.gated.gate.wait_reached(2)
    assert env.job(second).state is State.QUEUED
    assert env.engine.counts()["running"] == 2


def test_the_next_one_begins_when_one_has_ended_and_never_two_at_a_time(make_env: MakeEnv) -> None:
    env = limited(make_env, 2)
    mine = [submit(env, "ann") for _ in range(6)]
    for done in range(1, 19):
        env.gated.gate.wait_reached(min(done + 1, 18))
        assert running(env, "ann") <= 2
        env.gated.gate.open(1)
    for job in mine:
        env.wait_for(job, State.SUCCEEDED)


@pytest.mark.parametrize("ask", ["pause", "terminate"])
def test_the_next_one_begins_when_one_was_paused_or_terminated(make_env: MakeEnv, ask: str) -> None:
    env = limited(make_env, 1)
    first, second = submit(env, "ann"), submit(env, "ann")
    env.gated.gate.wait_reached(1)
    assert env.job(second).state is State.QUEUED
    getattr(env.service, ask)(first.id, "ann", 0)
    env.gated.gate.open(1)
    env.wait_for(second, State.RUNNING)


def test_nobody_gives_way_to_a_high_job_of_a_user_who_has_enough(make_env: MakeEnv) -> None:
    env = limited(make_env, 1, slots=2)
    bobs, anns = submit(env, "bob"), submit(env, "ann", HIGH)
    env.gated.gate.wait_reached(2)
    high = submit(env, "ann", HIGH)
    eves = submit(env, "eve", HIGH)
    env.commits.wait_for(lambda: env.job(bobs).gives_way, "the job to be told to give way")
    env.gated.gate.open(2)
    # It goes to the one that came later, whose user may have it.
    env.wait_for(eves, State.RUNNING)
    assert (env.job(anns).state, env.job(high).state) == (State.RUNNING, State.QUEUED)
    env.gated.gate.open()
    env.wait_for(high, State.SUCCEEDED)
    env.wait_for(bobs, State.SUCCEEDED)


def test_a_high_job_that_another_has_overtaken_gets_a_slot_too(make_env: MakeEnv) -> None:
    env = limited(make_env, 1, slots=2)
    bobs = submit(env, "bob")
    env.gated.gate.wait_reached(1)
    anns = submit(env, "ann")
    env.gated.gate.wait_reached(2)
    high = submit(env, "ann", HIGH)
    eves = submit(env, "eve", HIGH)
    env.commits.wait_for(lambda: env.job(anns).gives_way, "the job to be told to give way")
    # The other one is at the gate again when it is told: it can't be gone before anybody has looked.
    env.gated.gate.open(1)
    env.gated.gate.wait_reached(3)
    # The first gives its slot for the one, and with it its user's place: the other one of that user comes first.
    env.gated.gate.open(1)
    env.wait_for(high, State.RUNNING)
    env.commits.wait_for(lambda: env.job(bobs).gives_way, "the next job to be told to give way")
    env.gated.gate.open(1)
    env.wait_for(eves, State.RUNNING)


@pytest.mark.parametrize(
    ("waiting", "left", "chosen"),
    [
        (["ann"] * 3, Left(), [3, 2, 1]),
        (["ann"] * 3, Left(2, {"ann": 1}), [3]),
        (["ann"] * 3, Left(2, {"ann": 2}), []),
        (["ann", "ann", "bob"], Left(1, {"eve": 1}), [3, 2]),
        (["ann", "bob"], Left(1, {"ann": 1}), [3]),
    ],
)
def test_no_more_give_way_than_their_users_may_have(waiting: list[str], left: Left, chosen: list[int]) -> None:
    place = Place(None, 0, [taken(1), taken(2), taken(3)])
    found = to_give_way([Waiting("gated", Priority.HIGH, user) for user in waiting], [place], left)
    assert [each.key for each in found] == chosen


def due() -> Due:
    return Due(now(), now() + timedelta(seconds=MAX_DELAY_SECONDS), crashes_below=2)


def add(env: Environment, rows: list[dict[str, object]]) -> None:
    usual = {"kind": "gated", "params": {}, "state": State.QUEUED, "created_at": now(), "queued_at": now()}
    with env.database.write() as connection:
        connection.execute(insert(jobs), [{**usual, "id": str(number), **row} for number, row in enumerate(rows)])


def test_of_the_others_the_job_is_found_whose_turn_it_is(idle: Environment) -> None:
    chance = random.Random(7)
    rows: list[dict[str, object]] = [
        {
            "user": f"u{chance.randrange(5)}",
            "priority": chance.choice([-1, 0, 0, 1]),
            "turn": chance.randrange(20),
            "state": chance.choice(["queued", "queued", "running", "paused"]),
            "crashes": chance.choice([0, 0, 0, 5]),
            "not_before": chance.choice([None, None, now() + timedelta(seconds=60)]),
        }
        for _ in range(200)
    ]
    add(idle, rows)
    for but in ([], ["u0"], ["u1", "u3"], ["u0", "u1", "u2", "u3"], [f"u{n}" for n in range(5)]):
        wanted = [
            (row["priority"], row["turn"], number)
            for number, row in enumerate(rows)
            if row["user"] not in but
            and (row["state"], row["not_before"]) == ("queued", None)
            and int(str(row["crashes"])) < 2
        ]
        with idle.database.write() as connection:
            found = first_of_others(connection, State.QUEUED, due(), but)
        assert (None if found is None else int(found["id"])) == (min(wanted)[2] if wanted else None), but  # type: ignore[type-var]


@pytest.mark.sqlite_only
def test_ten_thousand_jobs_of_a_user_who_has_enough_are_not_looked_at(idle: Environment) -> None:
    add(idle, [*({"user": "ann", "turn": turn} for turn in range(10_000)), {"user": "bob", "turn": 9_999}])
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    with idle.database.write() as connection:
        asked: list[tuple[str, object]] = []
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        driver = connection.connection.dbapi_connection
        assert driver is not None
        driver.set_progress_handler(count, 100)
        found = first_of_others(connection, State.QUEUED, due(), ["ann"])
        driver.set_progress_handler(None, 0)
        ((statement, values),) = asked
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert found is not None
    assert found["user"] == "bob"
    # In hundreds of the database's own instructions: a look at each job would be thousands.
    assert steps < 50, plan
    assert not [line for line in plan if line.startswith("SCAN jobs")], plan
