"""An export whose run was given up for dead while it was only slow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from jobsvc.jobs.states import State
from jobsvc.kinds.builtin import create_export
from jobsvc.kinds.builtin.create_export import CreateExport
from jobsvc.runs.signals import Signals
from jobsvc.store.queries import job_rows
from tests.support.environment import Environment
from tests.support.gated import Gate
from tests.support.stores import BOTH, opened, stored
from tests.support.waiting import TIMEOUT

pytestmark = [pytest.mark.both_databases, pytest.mark.stores(*BOTH)]

MONTH = {"from": "2026-01-01", "to": "2026-01-31"}


@pytest.mark.parametrize("held", ["process", "flush", "finish"])
def test_a_late_run_leaves_the_export_of_the_newer_one_as_it_is(
    make_env: Callable[..., Environment], files_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    monkeypatch.setattr(create_export, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    env = make_env(start=False, kinds=[CreateExport()])
    env.gated.gate.open()
    env.submit(count=3)
    machines = [env.another_process(files=opened(files_url, tmp_path)).runner for _ in range(2)]
    first = machines[0].claim()
    assert first is not None
    machines[0].run(first, Signals())
    job = env.submit_as("createExport", **MONTH)

    gate, late = Gate(), Thread()
    step = getattr(create_export._Export, held)

    def gated(self: Any, *given: Any) -> Any:
        if self._context.attempt == 1:
            gate.pass_through()
        return step(self, *given)

    monkeypatch.setattr(create_export._Export, held, gated)
    claim = machines[0].claim()
    assert claim is not None
    outcomes: list[State | None] = []
    late = Thread(target=lambda: outcomes.append(machines[0].run(claim, Signals())))
    late.start()
    try:
        gate.open(0 if held == "finish" else 2)
        gate.wait_reached(1 if held == "finish" else 3)
        # What is done to a job whose worker has not been heard of.
        with env.database.write() as connection:
            change = {"state": State.QUEUED}
            assert job_rows.change(connection, job.key, attempt=1, state=State.RUNNING, values=change)
        again = machines[1].claim()
        assert again is not None
        assert again.attempt == 2
        assert machines[1].run(again, Signals()) is State.SUCCEEDED
    finally:
        gate.open()
        late.join(TIMEOUT)
    assert outcomes == [None]
    files = opened(files_url, tmp_path)
    result = files.result(job.id, 2)
    assert result is not None
    with files.open_result(result) as file:
        lines = file.read().splitlines()
    assert [line.split(b",")[1] for line in lines] == [b"_row", b"1", b"2", b"3"]
    files.remove(job.id)
    assert [name for name in stored(files) if job.id in name] == []
