"""How many threads of paused jobs are kept, and which."""

from __future__ import annotations

from collections.abc import Callable

from jobsvc.jobs.states import State
from tests.engines.test_threads import PAUSED, Engine, Ticket, Work, joined, make_engine, wait_left, work
from tests.support.environment import WHO, Environment

__all__ = ["make_engine", "work"]


def pause(engine: Engine, work: Work, *tickets: Ticket) -> None:
    """Begin and pause them, one after another."""
    for ticket in tickets:
        work.put(ticket)
        engine.wake()
        work.wait_begun(ticket)
        work.end(ticket, PAUSED)
        wait_left(engine, work, ticket)


def kept(work: Work, *tickets: Ticket) -> list[bool]:
    return [work.threads[ticket].is_alive() for ticket in tickets]


def test_one_paused_thread_too_many_ends_the_longest_paused(make_engine: Callable[..., Engine], work: Work) -> None:
    tickets = [Ticket(key) for key in range(1, 6)]
    engine = make_engine(paused_threads=2)
    pause(engine, work, *tickets)
    assert all(joined(work.threads[ticket]) for ticket in tickets[:3])
    assert kept(work, *tickets[3:]) == [True, True]
    assert engine.counts() == {"running": 0, "paused": 2}


def test_a_job_whose_thread_has_ended_goes_on_with_a_new_one(make_engine: Callable[..., Engine], work: Work) -> None:
    first, second, again = Ticket(1), Ticket(2), Ticket(1, 2)
    engine = make_engine(paused_threads=1)
    pause(engine, work, first, second)
    assert joined(work.threads[first])
    work.put(again)
    engine.wake()
    work.wait_begun(again)
    assert work.threads[again] is not work.threads[first]
    assert kept(work, second) == [True], "a job that runs is none of the paused"


def test_no_paused_thread_is_kept_where_none_may_be(make_engine: Callable[..., Engine], work: Work) -> None:
    first, again = Ticket(1), Ticket(1, 2)
    engine = make_engine(paused_threads=0)
    pause(engine, work, first)
    assert joined(work.threads[first])
    assert engine.counts() == {"running": 0, "paused": 0}
    pause(engine, work, again)
    assert joined(work.threads[again])
    assert not engine._live, "what has no thread any more is kept"


def test_a_job_that_was_resumed_and_paused_again_is_the_last_to_lose_its_thread(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    first, second, again, third = Ticket(1), Ticket(2), Ticket(1, 2), Ticket(3)
    engine = make_engine(paused_threads=2)
    pause(engine, work, first, second, again, third)
    assert work.threads[again] is work.threads[first]
    assert joined(work.threads[second])
    assert kept(work, first, third) == [True, True]


def test_a_thread_that_was_forgotten_makes_room_for_another(make_engine: Callable[..., Engine], work: Work) -> None:
    first, second, third = Ticket(1), Ticket(2), Ticket(3)
    engine = make_engine(paused_threads=2)
    pause(engine, work, first, second)
    engine.forget(second.key)
    assert joined(work.threads[second])
    pause(engine, work, third)
    assert kept(work, first, third) == [True, True]


def test_a_thread_that_has_waited_for_long_enough_makes_room_for_another(
    make_engine: Callable[..., Engine], work: Work
) -> None:
    tickets = [Ticket(key) for key in range(1, 4)]
    engine = make_engine(park_after=0.0, paused_threads=1)
    for ticket in tickets:
        pause(engine, work, ticket)
        assert joined(work.threads[ticket])
    assert engine.counts() == {"running": 0, "paused": 0}


def test_a_job_without_its_thread_is_resumed_at_its_cursor(make_env: Callable[..., Environment]) -> None:
    env = make_env(limits={"paused_threads": 1})
    jobs, threads = [], []
    for _ in range(2):
        job = env.submit_reached(4, batch=2)
        threads.append(env.engine._live[job.key].thread)
        env.service.pause(job.id, WHO, 0)
        env.gated.gate.open(1)
        jobs.append(env.wait_for(job, State.PAUSED))
        env.wait_left(job)
    assert joined(threads[0])
    assert threads[1].is_alive()
    assert env.engine.counts() == {"running": 0, "paused": 1}
    reached = env.gated.gate.reached
    env.gated.gate.open()
    for job in jobs:
        env.service.resume(job.id, WHO, 0)
        assert env.wait_for(job, State.SUCCEEDED).attempt == 2
        assert env.rows(job) == list(range(1, 11))
    assert env.gated.gate.reached - reached == 20 - sum(job.done for job in jobs), "an item came to the gate twice"
