"""What a worker of the fleet does on its threads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from procrastinate import PsycopgConnector

from jobsvc.engines.fleet.supervised_worker import SupervisedWorker, Times
from jobsvc.engines.fleet.worker import _started
from jobsvc.identifiers import EntryId, JobKey, Purpose
from jobsvc.runs.signals import FleetSignals
from tests.support.worker_process import PlainProcess


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_an_entry_raises_does_not_end_the_worker(raised: type[BaseException]) -> None:
    worker: SupervisedWorker[FleetSignals] = SupervisedWorker(
        PsycopgConnector(conninfo="host=nowhere"),
        Purpose.RUNS,
        ["gated"],
        1,
        Times(heartbeat=1, stalled_after=2, sweep_every=1, shutdown=1),
        process=PlainProcess(),
    )

    def broken(key: JobKey, entry: EntryId, signals: FleetSignals) -> None:
        raise raised("broken")

    worker.add_task("broken", broken)
    context: Any = SimpleNamespace(job=SimpleNamespace(id=7), should_abort=lambda: False)
    # A BaseException would end the event loop that waits for the thread.
    with pytest.raises(RuntimeError, match=f"entry 7 raised {raised.__name__}: broken"):
        worker.app.tasks["broken"].func(context, key=1)
    assert worker._live == set()


def test_all_threads_of_a_worker_are_there_before_it_takes_anything() -> None:
    executor = _started(5)
    try:
        assert len(executor._threads) == 5
    finally:
        executor.shutdown()
