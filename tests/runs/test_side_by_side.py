"""Transactions that run beside each other, as they can on PostgreSQL; on SQLite the same holds trivially."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest

from jobsvc.jobs.job import Job
from jobsvc.jobs.states import State
from jobsvc.kinds.builtin.bulk_team import BulkTeam
from jobsvc.service.new_job import Idempotency, NewJob
from jobsvc.store.queries import team_rows
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases

TOGETHER = 8


def at_once(call: Callable[[int], Any], count: int = TOGETHER) -> list[Any]:
    """What `call` returns, or raises, on each of some threads that begin together."""
    barrier, outcomes = Barrier(count), []

    def run(number: int) -> None:
        barrier.wait(TIMEOUT)
        try:
            outcomes.append(call(number))
        except Exception as error:
            outcomes.append(error)

    threads = [Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    return outcomes


def test_requests_with_the_same_key_at_the_same_time_make_one_job(idle: Environment) -> None:
    for round_ in range(5):
        key = Idempotency(f"key {round_}", "same")

        def submit(number: int, key: Idempotency = key) -> Job:
            job_id = idle.service.new_id(WHO, "gated")
            return idle.service.submit(NewJob(id=job_id, kind="gated", user=WHO, params={}, idempotency=key))

        made = at_once(submit)
        assert [job for job in made if not isinstance(job, Job)] == []
        assert len({job.id for job in made}) == 1
    found = idle.service.page(limit=100).jobs
    assert len(found) == 5


def test_a_job_that_is_steered_from_all_sides_has_a_history_without_a_gap(idle: Environment) -> None:
    job = idle.submit()
    asks = (idle.service.pause, idle.service.resume)
    answers = at_once(lambda number: asks[number % 2](job.id, str(number), 0))
    assert [answer for answer in answers if not isinstance(answer, Job)] == []
    history = idle.history(job)
    assert [before for before, _, _ in history] == [None, *(after for _, after, _ in history[:-1])]
    assert history[-1][1] == idle.job(job).state


def test_each_queued_job_is_claimed_once(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(TOGETHER)]
    runners = [idle.another_process().runner for _ in jobs]
    claimed = at_once(lambda number: runners[number].claim())
    assert sorted(job.key for job in claimed) == [job.key for job in jobs]


def test_jobs_that_want_the_same_names_in_opposite_order_share_them(make_env: Callable[..., Environment]) -> None:
    """On PostgreSQL their transactions would deadlock if they did not take turns."""
    env = make_env(slots=4, kinds=[BulkTeam()])
    names = [f"Team {number}" for number in range(3000)]
    jobs = []
    for order in (names, names[::-1]) * 2:
        job_id = env.service.new_id(WHO, "bulkTeam")
        with env.files.input(job_id).open("wb") as file:
            file.write(("team,member\n" + "".join(f"{name},x\n" for name in order)).encode())
        params = {"delimiter": ","}
        jobs.append(env.service.submit(NewJob(id=job_id, kind="bulkTeam", user=WHO, params=params)))
    ended = [env.wait_for(job, State.SUCCEEDED, State.FAILED) for job in jobs]
    # One that found every name taken has failed, and says so.
    assert all(job.error is None or "exists already" in job.error for job in ended)
    assert sum(job.done for job in ended) == len(names)
    assert sum(job.failed for job in ended) == 3 * len(names)
    with env.database.read() as connection:
        made, _ = team_rows.page(connection, limit=10_000)
    assert sorted(team["name"] for team in made) == sorted(names)
    assert all(team["members"] == ["x"] for team in made)
