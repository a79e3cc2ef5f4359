from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from jobsvc.clock import now
from jobsvc.jobs import transition
from jobsvc.jobs.states import Rollback, State
from jobsvc.kinds.contract import Effects
from jobsvc.runs.recovery import recover
from jobsvc.store.queries import job_rows, log_rows
from jobsvc.store.queries.log_rows import Line
from tests.support.environment import WHO, Environment
from tests.support.gated import Gated
from tests.support.stores import keep, stored
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases


def put(idle: Environment, state: State) -> str:
    job = idle.submit()
    with idle.database.write() as connection:
        job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values={"state": state})
    return job.id


@pytest.mark.parametrize("resume", [True, False])
def test_what_was_under_way_is_settled_and_all_else_stays(idle: Environment, resume: bool) -> None:
    expected = {state: state for state in State} | {
        State.RUNNING: State.QUEUED if resume else State.INTERRUPTED,
        State.INTERRUPTED: State.QUEUED if resume else State.INTERRUPTED,
        State.PAUSING: State.PAUSED,
        State.TERMINATING: State.TERMINATED,
    }
    jobs = {state: put(idle, state) for state in State}
    before = {state: idle.service.get(job_id) for state, job_id in jobs.items()}
    idle.recover(resume=resume)
    for state, job_id in jobs.items():
        after = idle.service.get(job_id)
        assert after.state is expected[state], state
        # What was under way goes on before all that have turns.
        turn = 0 if after.state is State.QUEUED is not state else before[state].turn
        assert after == replace(before[state], state=after.state, finished_at=after.finished_at, turn=turn)
        assert (after.finished_at is not None) == (state is State.TERMINATING)


def test_each_step_of_it_is_in_the_history(idle: Environment) -> None:
    job_id = put(idle, State.RUNNING)
    idle.recover()
    lines = idle.service.events(job_id)
    assert [(line["from"], line["to"], line["who"], line["why"]) for line in lines[1:]] == [
        ("running", "interrupted", "service", "the service had died; its run ended with it"),
        ("interrupted", "queued", "service", "the service started again"),
    ]


def test_recovering_twice_changes_nothing_more(idle: Environment) -> None:
    ids = [put(idle, state) for state in State]
    idle.recover()
    first = [idle.service.get(job_id) for job_id in ids]
    idle.recover()
    assert [idle.service.get(job_id) for job_id in ids] == first


def texts(env: Environment, job_id: str) -> list[str]:
    """The lines of a job's log."""
    with env.database.read() as connection:
        return [line["text"] for line in log_rows.of_job(connection, env.service.get(job_id).key, 0, 10**6)]


def test_where_one_crash_is_the_most_that_a_job_may_have_it_has_failed(idle: Environment) -> None:
    job = idle.submit()
    claimed = idle.runner.claim()
    assert claimed is not None
    assert idle.job(job).crashes == 1
    recover(idle.database, idle.files, now, resume=True, kinds=idle.kinds, max_crashes=1)
    assert idle.job(job).state is State.FAILED


def test_each_of_many_jobs_has_its_own_history_and_log(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transition, "JOBS_AT_A_TIME", 2)
    ids = [put(idle, State.RUNNING) for _ in range(5)]
    other = put(idle, State.PAUSED)
    for number, job_id in enumerate(ids):
        with idle.database.write() as connection:
            key, values = idle.service.get(job_id).key, {"done": number, "failed": 7, "eta_seconds": 1.0}
            job_rows.change(connection, key, attempt=0, state=State.RUNNING, values=values)
    idle.recover()
    for number, job_id in enumerate(ids):
        assert [(line["from"], line["to"]) for line in idle.service.events(job_id)[1:]] == [
            ("running", "interrupted"),
            ("interrupted", "queued"),
        ]
        assert texts(idle, job_id) == [
            f"interrupted: the service had died; its run ended with it; {number} done, 7 refused",
            f"queued: the service started again; {number} done, 7 refused",
        ]
        assert idle.service.get(job_id).eta_seconds is None
    assert (texts(idle, other), len(idle.service.events(other))) == ([], 1)


def test_the_oldest_lines_of_full_logs_make_way(idle: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rows, "MAX_LINES", 3)
    full, empty = put(idle, State.RUNNING), put(idle, State.RUNNING)
    with idle.database.write() as connection:
        lines = [Line(now(), "info", str(number)) for number in range(3)]
        log_rows.append(connection, idle.service.get(full).key, 1, lines)
    idle.recover()
    kept = [text.partition(":")[0] for text in texts(idle, full)]
    assert kept == ["2", "interrupted", "queued"]
    assert len(texts(idle, empty)) == 2


def test_more_jobs_do_not_take_more_statements(make_env: Callable[..., Environment]) -> None:
    env = make_env(start=False, max_queued=1000)
    statements: list[str] = []
    event.listen(env.database.backend.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    counts = []
    for count in (1, 30):
        for _ in range(count):
            put(env, State.RUNNING)
            put(env, State.INTERRUPTED)
        statements.clear()
        env.recover()
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_rollback_that_no_attempt_has_begun_waits_as_it_did(idle: Environment) -> None:
    job_id = put(idle, State.TERMINATING)
    before = idle.service.get(job_id)
    with idle.database.write() as connection:
        values = {"rollback": Rollback.WANTED, "crashes": 4, "not_before": now()}
        job_rows.change(connection, before.key, attempt=0, state=State.TERMINATING, values=values)
    before = idle.service.get(job_id)
    idle.recover()
    assert idle.service.get(job_id) == before


def test_jobs_that_had_begun_go_ahead_of_those_that_waited_in_the_old_order(
    make_env: Callable[..., Environment],
) -> None:
    env = make_env(start=False)
    env.gated.gate.open()
    jobs = [env.submit(count=1) for _ in range(5)]
    claimed = [env.runner.claim(), env.runner.claim()]
    assert [job.key for job in claimed if job] == [jobs[0].key, jobs[1].key]
    env.recover()
    order = []
    while (job := env.runner.claim()) is not None:
        order.append(job.key)
    assert order == [job.key for job in jobs]


def test_uploads_that_were_cut_off_are_moved_aside_and_files_of_jobs_stay(idle: Environment) -> None:
    job, stray = idle.submit(), idle.service.new_id(WHO, "gated")
    whats = (".input", ".output/0-1.part", ".output/result.1", ".output.part")
    for name in (*(f"{job_id}{what}" for job_id in (job.id, stray) for what in whats), "README", "mine.input"):
        keep(idle.files, name, b"x")
    idle.recover()
    kept = {name for name in stored(idle.files) if not name.startswith("strays/")}
    assert kept == {*(f"{job.id}{what}" for what in whats), "README", "mine.input"}
    assert len(stored(idle.files)) == len(kept) + len(whats)


@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    ("asked", "after"), [(None, State.SUCCEEDED), ("pause", State.PAUSED), ("terminate", State.TERMINATED)]
)
def test_on_what_a_crash_leaves_jobs_go_on_at_their_checkpoint(
    make_env: Callable[..., Environment], tmp_path: Path, asked: str | None, after: State
) -> None:
    """The directory is copied while the run stands at an item: what a power cut would leave."""
    env = make_env()
    job = env.submit_reached(6, batch=2)
    if asked is not None:
        getattr(env.service, asked)(job.id, WHO, 0)
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    again = make_env(tmp_path / "copy", start=False)
    assert again.job(job).done == 4
    again.recover()
    again.gated.gate.open()
    again.start()
    done = again.wait_for(job, after)
    assert again.rows(job) == list(range(1, (10 if asked is None else 4) + 1))
    assert done.done == len(again.rows(job))
    assert done.attempt == (2 if asked is None else 1)


def test_a_run_that_is_told_to_shut_down_commits_and_goes_on_at_the_next_start(
    make_env: Callable[..., Environment],
) -> None:
    env = make_env()
    job = env.submit_reached(3, batch=5)
    waiting = env.submit(count=1)
    env.begin_shut_down()
    env.gated.gate.open()
    assert env.engine.shut_down(TIMEOUT) == []
    assert (env.job(job).state, env.job(job).done) == (State.INTERRUPTED, 3)
    assert env.job(waiting).state is State.QUEUED
    assert env.rows(job) == [1, 2, 3]
    again = make_env(start=False)
    again.recover()
    again.gated.gate.open()
    again.start()
    again.wait_for(waiting, State.SUCCEEDED)
    assert again.job(job).state is State.SUCCEEDED, "it was queued first"
    assert again.rows(job) == list(range(1, 11))
    assert again.gated.gate.reached == 8


def test_what_only_a_job_needed_that_is_terminated_at_the_start_is_let_go_of(
    make_env: Callable[..., Environment],
) -> None:
    cleaned: list[int] = []

    class Tidy(Gated):
        name = "tidy"

        def clean_up(self, effects: Effects) -> None:
            cleaned.append(effects.job_key)

    env = make_env(start=False, kinds=[Tidy()])
    jobs = [env.submit_as("tidy") for _ in State]
    with env.database.write() as connection:
        for job, state in zip(jobs, State, strict=True):
            job_rows.change(connection, job.key, attempt=0, state=State.QUEUED, values={"state": state})
    env.recover()
    assert cleaned == [job.key for job, state in zip(jobs, State, strict=True) if state is State.TERMINATING]
    paused = next(job for job, state in zip(jobs, State, strict=True) if state is State.PAUSED)
    env.service.terminate(paused.id, WHO, 0)
    assert cleaned[1:] == [paused.key]
