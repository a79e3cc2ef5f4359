"""The order in which jobs leave the queue: by when they were queued, not by when they were made."""

from __future__ import annotations

from datetime import UTC, datetime

from jobsvc.jobs.states import State
from jobsvc.store.queries import job_rows
from tests.support.environment import WHO, Environment


def drained(idle: Environment) -> list[int]:
    """The keys of all queued jobs, as they are claimed."""
    order = []
    while (job := idle.runner.claim()) is not None:
        order.append(job.key)
    return order


def test_a_resumed_job_queues_behind_those_that_waited_meanwhile(idle: Environment) -> None:
    first, second, third = (idle.submit() for _ in range(3))
    idle.service.pause(first.id, WHO, 0)
    idle.service.resume(first.id, WHO, 0)
    assert drained(idle) == [second.key, third.key, first.key]


def test_jobs_that_were_queued_at_the_same_moment_go_in_the_order_in_which_they_were_made(idle: Environment) -> None:
    jobs = [idle.submit() for _ in range(3)]
    at = {"queued_at": datetime(2026, 1, 1, tzinfo=UTC)}
    with idle.database.write() as connection:
        for job in jobs:
            job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values=at)
    assert drained(idle) == [job.key for job in jobs]
