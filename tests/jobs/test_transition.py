from __future__ import annotations

from dataclasses import replace
from threading import Barrier, Thread

import pytest

from jobsvc.clock import now
from jobsvc.jobs.job import Place
from jobsvc.jobs.states import FINISHED, State
from jobsvc.jobs.transition import transition
from jobsvc.store.queries import job_rows
from tests.support.environment import Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases


def test_a_transition_sets_state_and_values_and_leaves_a_line_in_the_history(idle: Environment) -> None:
    job, at = idle.submit(), now()
    with idle.database.write() as connection:
        moved = transition(connection, job, State.PAUSED, who="Ann", at=at, why="lunch", done=3, position=7)
    after = idle.job(job)
    assert moved == after
    assert (after.state, after.done, after.attempt) == (State.PAUSED, 3, 0)
    line = idle.service.events(job.id)[-1]
    assert (line["at"], line["from"], line["to"], line["who"], line["why"]) == (at, "queued", "paused", "Ann", "lunch")


def test_what_a_job_does_not_know_of_its_row_is_changed_all_the_same(idle: Environment) -> None:
    job, cursor = idle.submit(), {"offset": 5}
    with idle.database.write() as connection:
        moved = transition(connection, job, State.PAUSED, who="Ann", at=now(), cursor=cursor)
        assert Place.from_row(job_rows.place(connection, job.key)).cursor == cursor
    assert moved == idle.job(job)


@pytest.mark.parametrize("stale", [{"state": State.RUNNING}, {"attempt": 1}])
def test_a_job_that_has_moved_on_is_left_alone(idle: Environment, stale: dict[str, object]) -> None:
    job = idle.submit()
    before, history = idle.job(job), idle.history(job)
    with idle.database.write() as connection:
        assert not transition(connection, replace(job, **stale), State.TERMINATING, who="Ann", at=now(), done=3)  # type: ignore[arg-type]
    assert idle.job(job) == before
    assert idle.history(job) == history


def test_of_many_who_want_to_move_a_job_one_does(idle: Environment) -> None:
    job = idle.submit()
    together, outcomes = Barrier(8), []

    def move(number: int) -> None:
        together.wait(TIMEOUT)
        with idle.database.write() as connection:
            moved = transition(connection, job, State.PAUSED, who=str(number), at=now())
            outcomes.append(moved is not None)

    threads = [Thread(target=move, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert sorted(outcomes) == [False] * 7 + [True]
    assert [line[:2] for line in idle.history(job)] == [(None, "queued"), ("queued", "paused")]


def test_only_a_finished_job_has_a_time_at_which_it_finished(idle: Environment) -> None:
    job = idle.submit()
    for after in (State.RUNNING, State.FAILED, State.QUEUED, State.RUNNING, State.SUCCEEDED):
        at = now()
        with idle.database.write() as connection:
            assert transition(connection, idle.job(job), after, who="Ann", at=at)
        assert idle.job(job).finished_at == (at if after in FINISHED else None)


def test_nothing_of_a_transition_stays_when_its_transaction_fails(idle: Environment) -> None:
    job = idle.submit()

    def move_and_break() -> None:
        with idle.database.write() as connection:
            assert transition(connection, job, State.PAUSED, who="Ann", at=now())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        move_and_break()
    assert idle.job(job) == job
    assert len(idle.history(job)) == 1


def test_a_job_that_does_not_run_has_no_time_left(idle: Environment) -> None:
    job = idle.submit()
    for after, eta in ((State.RUNNING, 4.5), (State.PAUSING, None)):
        with idle.database.write() as connection:
            values = {"eta_seconds": eta} if eta else {}
            moved = transition(connection, idle.job(job), after, who="Ann", at=now(), **values)
        assert idle.job(job).eta_seconds == eta
        assert moved == idle.job(job)
