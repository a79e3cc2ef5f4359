"""Statements that each request and each run executes are built once: building takes longer than executing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Delete, Insert, Select, Update

from jobsvc.files import belonging
from jobsvc.jobs.states import State
from jobsvc.store.queries import job_rows
from tests.support.environment import WHO, Environment
from tests.support.waiting import TIMEOUT

pytestmark = pytest.mark.both_databases


@contextmanager
def noted_builders() -> Iterator[list[str]]:
    """The functions of the service that build a statement meanwhile, on any thread."""
    found: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Select, Insert, Update, Delete):
            build = kind.__init__

            def noted(self: Any, *args: Any, build: Any = build, **named: Any) -> None:
                if (builder := _builder()) is not None:
                    found.append(builder)
                build(self, *args, **named)

            patch.setattr(kind, "__init__", noted)
        yield found


def _builder() -> str | None:
    """The function of the service in which a statement is being built, if it is one."""
    frame = sys._getframe(2)
    while frame.f_back is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("jobsvc."):
            return f"{module}.{frame.f_code.co_name}"
        if not module.startswith("sqlalchemy."):
            return None
        frame = frame.f_back
    return None


def life(env: Environment) -> None:
    """A job is looked at, paused, resumed, and runs to its end."""
    job = env.submit_reached(1, count=2)
    env.service.get(job.id)
    with ThreadPoolExecutor(1) as others:
        paused = others.submit(env.service.pause, job.id, WHO, TIMEOUT)
        env.wait_for(job, State.PAUSING)
        env.gated.gate.open(1)
        assert paused.result().state is State.PAUSED
    env.service.resume(job.id, WHO, 0)
    env.gated.gate.open(1)
    env.wait_for(job, State.SUCCEEDED)


def test_a_job_builds_no_statement(env: Environment) -> None:
    life(env)
    with noted_builders() as built:
        life(env)
    assert not built


def test_a_start_builds_no_statement_to_find_what_it_settles(idle: Environment) -> None:
    with noted_builders() as built:
        idle.core.recover(resume=True)
    # Once at a start: whose the files are, and which of them belong to no job.
    assert set(built) == {f"{belonging.__name__}._found", f"{job_rows.__name__}.ids_by_files"}
