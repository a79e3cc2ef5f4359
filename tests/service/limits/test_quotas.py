"""How many jobs a user may have queued, and how many bytes stored: decided where the job is made, for one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text

from jobsvc.jobs.errors import LimitReached, TooManyQueued, TooMuchStored
from jobsvc.jobs.states import State
from jobsvc.service.new_job import NewJob
from jobsvc.store.queries.sharing import user_rows
from tests.support.environment import Environment
from tests.support.many_jobs import add_jobs

pytestmark = pytest.mark.both_databases

MakeEnv = Callable[..., Environment]


def submit(env: Environment, user: str, upload_bytes: int = 0) -> str:
    new_id = env.service.new_id(user, "gated")
    return env.service.submit(NewJob(new_id, "gated", user, {}, upload_bytes=upload_bytes)).id


def all_at_once(env: Environment, user: str, upload_bytes: Sequence[int]) -> list[LimitReached]:
    """Submit jobs with uploads of these sizes, all at the same time; returns the refusals."""

    def refusal(size: int) -> LimitReached | None:
        try:
            submit(env, user, size)
        except LimitReached as error:
            return error
        return None

    with ThreadPoolExecutor(len(upload_bytes)) as pool:
        return [found for found in pool.map(refusal, upload_bytes) if found is not None]


def queued(env: Environment, user: str) -> int:
    with env.database.read() as connection:
        return user_rows.count_queued(connection, user)


def stored(env: Environment, user: str) -> int:
    with env.database.read() as connection:
        return user_rows.stored_bytes(connection, user)


def test_however_many_come_at_once_no_more_than_the_limit_are_queued(make_env: MakeEnv) -> None:
    env = make_env(start=False, limits={"user_max_queued": 3})
    refused = all_at_once(env, "ann", [0] * 12)
    assert queued(env, "ann") == 3
    assert [(type(error), error.used, error.allowed) for error in refused] == [(TooManyQueued, 3, 3)] * 9
    assert "ann has 3 jobs queued, and each user may have 3 (JOBSVC_USER_MAX_QUEUED)" in str(refused[0])


def test_each_user_has_a_limit_of_their_own(make_env: MakeEnv) -> None:
    env = make_env(start=False, limits={"user_max_queued": 1, "user_max_stored_bytes": 10})
    for user in ("ann", "bob"):
        submit(env, user, 10)
        with pytest.raises(TooManyQueued):
            submit(env, user)


def test_a_job_that_has_begun_is_not_queued_any_more(make_env: MakeEnv) -> None:
    env = make_env(start=False, limits={"user_max_queued": 1})
    submit(env, "ann")
    env.runner.claim()
    submit(env, "ann")
    with pytest.raises(TooManyQueued):
        submit(env, "ann")


def test_a_resume_is_never_refused_and_its_job_counts(make_env: MakeEnv) -> None:
    env = make_env(start=False, limits={"user_max_queued": 1})
    paused = submit(env, "ann")
    env.service.pause(paused, "ann", 5)
    submit(env, "ann")
    assert env.service.resume(paused, "ann", 5).state is State.QUEUED
    with pytest.raises(TooManyQueued) as told:
        submit(env, "ann")
    assert told.value.used == 2


def test_uploads_that_come_at_once_take_no_more_bytes_than_the_limit(make_env: MakeEnv) -> None:
    env = make_env(start=False, limits={"user_max_stored_bytes": 1000})
    refused = all_at_once(env, "ann", [300] * 10)
    assert stored(env, "ann") == 900
    assert {type(error) for error in refused} == {TooMuchStored}
    assert len(refused) == 7
    submit(env, "ann", 100)
    with pytest.raises(TooMuchStored, match="the files of ann's jobs have 1000 bytes, this one would add at least 1"):
        submit(env, "ann")


def test_without_limits_nobody_is_asked(make_env: MakeEnv) -> None:
    env = make_env(start=False)
    assert all_at_once(env, "ann", [10**12] * 5) == []


@pytest.mark.sqlite_only
def test_what_a_user_has_is_found_by_an_index(make_env: MakeEnv) -> None:
    env = make_env(start=False)
    add_jobs(env.database, 500, kind="gated", user="bob")
    with env.database.read() as connection:
        asked: list[tuple[str, object]] = []
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        user_rows.count_queued(connection, "ann")
        user_rows.stored_bytes(connection, "ann")
        plans = [
            " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
            for statement, values in list(asked)
        ]
    assert "COVERING INDEX jobs_users (state=? AND user=?)" in plans[0]
    assert "COVERING INDEX jobs_stored (user=? AND files_removed_at=?)" in plans[1]


@pytest.mark.postgresql_only
def test_on_postgresql_the_sum_has_an_index_of_its_own(make_env: MakeEnv) -> None:
    env = make_env(start=False)
    add_jobs(env.database, 2000, kind="gated", user="bob")
    add_jobs(env.database, 5, kind="gated", user="ann")
    with env.database.write() as connection:
        connection.execute(text("ANALYZE jobs"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        asked: list[tuple[str, object]] = []
        event.listen(connection, "before_cursor_execute", lambda *args: asked.append((args[2], args[3])))
        user_rows.count_queued(connection, "ann")
        user_rows.stored_bytes(connection, "ann")
        plans = [
            " ".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", values))
            for statement, values in list(asked)
        ]
    assert "jobs_users" in plans[0]
    assert "jobs_stored" in plans[1]
