"""What a worker of the fleet does on its threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from procrastinate import App, PsycopgConnector
from procrastinate.jobs import Notification
from procrastinate.manager import JobManager
from procrastinate.testing import InMemoryConnector

from jobsvc.engines.fleet.supervised_worker import SupervisedWorker, Times, _QueueWorker
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


def test_what_the_queue_tells_of_while_a_worker_asks_it_is_asked_for_at_once() -> None:
    class Answers(JobManager):
        asked = 0

        async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> None:  # type: ignore[override]
            self.asked += 1
            if self.asked == 1:
                # An entry that this answer is too early for.
                told: Notification = {"type": "job_inserted", "job_id": 7}
                await worker._handle_notification(channel="any", notification=told)

    async def ask_twice() -> list[int]:
        worker.worker_id = 1
        found = []
        for _ in range(2):
            await worker._fetch_and_process_jobs()
            found.append(answers.asked)
        return found

    connector = InMemoryConnector()
    app = App(connector=connector)
    app.job_manager = answers = Answers(connector)
    worker = _QueueWorker(app, leave=lambda: None, concurrency=1)
    # Before the second time, nothing was told of.
    assert asyncio.run(ask_twice()) == [2, 3]
