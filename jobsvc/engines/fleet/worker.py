"""A worker, which is a process of the fleet: takes entries from the queue and executes them on threads.

It has three queue workers (see `supervised_worker.py`), which share one event loop and
one pool of connections. One has the slots for runs. One has a few more for rollbacks:
a rollback doesn't wait for other people's jobs. One looks, by turns with those of
other workers, for workers that have gone; it must not wait for either.

When PostgreSQL does not answer, the queue workers ask again half a second after each failure (`job_manager.py`).
A run that needs it ends, and writes down how when the database is back (`runs/runner.py`,
`runs/recording.py`). Without heartbeats the lease closes, and no further item begins; then it
ends, and the process with it if an item is under way of a kind that acts outside of its
checkpoint (`lease.py`). A queue worker whose lease has ended is replaced when the database is back
(`supervised_worker.py`). A worker that is started meanwhile ends at once: DatabaseDown.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, Generic, Protocol

from procrastinate import App, PsycopgConnector

from jobsvc.engines.fleet.lease import allow_alarm
from jobsvc.engines.fleet.queue import ROLLBACK_QUEUE, Task
from jobsvc.engines.fleet.supervised_worker import Process, S, SupervisedWorker, Times
from jobsvc.identifiers import EntryId, JobKey, Purpose

log = logging.getLogger(__name__)

RECOVERY_QUEUE = "jobsvc:recovery"

EVERY_HOUR = "17 * * * *"

MAX_CONNECTIONS = 4
"""For the queue. Runs have theirs beside these; each of two queue workers has one more to hear of new work."""

POOL_SECONDS = 5.0
"""How long a query waits for a connection. The next one that needs one then has the pool try at once: by itself the
pool would try later and later while the database is away, and be late by as much as that was."""


class WorkerProcess(Process[S], Protocol[S]):
    """What there is to do in this process, all of it on threads other than the event loop's unless it says so."""

    def run(self, key: JobKey, entry: EntryId, signals: S) -> None:
        """Run the job that an entry of the queue stands for."""

    def roll_back(self, key: JobKey, entry: EntryId, signals: S) -> None:
        """Roll back the job that an entry of the queue stands for."""

    def rescue(self) -> None:
        """Give up the workers that have gone, have their jobs go on, and others give way where that is due."""

    def tidy(self) -> None:
        """What one worker of the fleet does every hour."""

    def begin_to_end(self) -> None:
        """The process was told to end, and its runs to leave. Returns at once; called on the event loop's thread."""

    def finish(self) -> None:
        """No run is left."""


class FleetWorker(Generic[S]):
    """`run` blocks until SIGTERM or SIGINT, then until all that was under way has ended.

    Everything belongs to the event loop's thread.
    """

    def __init__(
        self,
        conninfo: str,
        process: WorkerProcess[S],
        times: Times,
        *,
        queues: Sequence[str],
        concurrency: int,
        rollbacks_at_once: int,
    ) -> None:
        connector = PsycopgConnector(
            conninfo=conninfo,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=POOL_SECONDS,
            reconnect_timeout=POOL_SECONDS,
        )
        self._process, self._times = process, times
        self._threads = concurrency + rollbacks_at_once + 4
        runs = SupervisedWorker(connector, Purpose.RUNS, queues, concurrency, times, process=process)
        runs.add_task(Task.RUN, process.run)
        rollbacks = SupervisedWorker(
            connector, Purpose.ROLLBACKS, [ROLLBACK_QUEUE], rollbacks_at_once, times, process=process
        )
        rollbacks.add_task(Task.ROLL_BACK, process.roll_back)
        # One more than there are tasks that take long, so that none of those holds up the others.
        recovery = SupervisedWorker(
            connector, Purpose.RECOVERY, [RECOVERY_QUEUE], 2, times, process=process, listen=False
        )
        self._add_recovery(recovery.app)
        self._queue_workers = (runs, rollbacks, recovery)
        self._ended = asyncio.Event()

    def run(self) -> None:
        """Work until told to end.

        A run that does not end within the bound ends with the process: its job is
        found without a worker, and goes on elsewhere.
        """
        asyncio.run(self._main())

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_started(self._threads))
        allow_alarm()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_to_end)
        # They share the connections.
        async with self._queue_workers[0].app.open_async():
            work = asyncio.gather(*(queue_worker.supervise(self._ended) for queue_worker in self._queue_workers))
            both: set[asyncio.Future[Any]] = {work, asyncio.ensure_future(self._late())}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.warning("not all runs have ended in time; they end with the process")
                logging.shutdown()
                os._exit(1)
            work.result()
        await asyncio.to_thread(self._process.finish)

    async def _late(self) -> None:
        await self._ended.wait()
        await asyncio.sleep(self._times.shutdown)

    def _begin_to_end(self) -> None:
        if self._ended.is_set():
            return
        log.info("shutting down")
        self._ended.set()
        for queue_worker in self._queue_workers:
            queue_worker.stop()
        self._process.begin_to_end()

    def _add_recovery(self, app: App) -> None:
        # The seconds are the last of cron's six fields. No two wait in the queue at a time; and none
        # waits for one that is under way, whose worker may be the one that has gone.
        @app.periodic(cron=f"* * * * * */{self._times.sweep_every}")
        @app.task(name="jobsvc.recover", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.recover")
        async def recover(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._process.rescue)

        @app.periodic(cron=EVERY_HOUR)
        @app.task(name="jobsvc.tidy", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.tidy")
        async def tidy(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._process.tidy)


def _started(threads: int) -> ThreadPoolExecutor:
    """So many threads, all of them started: no entry is taken that could not be executed.

    Raises RuntimeError where the system doesn't allow so many.
    """
    executor, go = ThreadPoolExecutor(threads, thread_name_prefix="jobsvc-fleet"), Event()
    try:
        for _ in range(threads):
            # Each waits, so that the next one needs a thread of its own.
            executor.submit(go.wait)
    finally:
        go.set()
    return executor
