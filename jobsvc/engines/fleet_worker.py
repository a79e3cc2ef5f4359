"""A worker process of the fleet: takes entries from the queue and carries them out on threads.

Three workers of Procrastinate share one event loop and one pool of connections.
One has the slots for runs. One has a few more for rollbacks: who uploaded the
wrong file doesn't wait for other people's jobs. One looks, by turns with those of
other processes, for workers that have gone; it must not wait for either.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import DeleteJobCondition, Status
from procrastinate.worker import Worker

from jobsvc.engines.fleet import ROLLBACK_QUEUE, Task
from jobsvc.engines.patient import PatientJobManager

log = logging.getLogger(__name__)

RECOVERY_QUEUE = "jobsvc:recovery"

EVERY_HOUR = "17 * * * *"

FETCH_SECONDS = 1.0
"""How often is looked for work that nobody told of, which happens after a lost connection only."""

LOOK_FOR_ABORTS_SECONDS = 1.0
"""The same for requests to stop."""

BEGIN_AGAIN_SECONDS = 1.0

MOST_CONNECTIONS = 4
"""For the queue. Runs have theirs beside these; each of two workers has one more to hear of new work."""


class RunSignals(Protocol):
    """What a run looks at before every item."""

    def shut_down(self) -> None: ...


class Registered(Protocol):
    def __call__(self, worker_id: int, purpose: str) -> None: ...


S = TypeVar("S", bound=RunSignals)


@dataclass(frozen=True)
class Duties(Generic[S]):
    """What there is to do, all of it on threads. An entry is named by its number, a job by its key."""

    signals: Callable[[Callable[[], bool]], S]
    """Makes what a run looks at; it is given what says whether the queue wants the run to stop."""
    run: Callable[[int, int, S], None]
    """`run(key, entry, signals)`"""
    roll_back: Callable[[int, int, S], None]
    fence: Callable[[], None]
    """Takes from workers that are given up what they may still hold."""
    recover: Callable[[], object]
    """Has jobs go on that have lost their entry, and tidies up."""
    tidy: Callable[[], object]
    """Done by somebody every hour."""
    registered: Registered
    """Is told the number that each worker has when it begins, and its purpose: runs, rollbacks, recovery."""


@dataclass(frozen=True)
class Times:
    """All in seconds."""

    heartbeat: float
    stalled_after: float
    """A worker without a heartbeat for so long is given up."""
    sweep_every: int
    """How often somebody looks for those."""
    shutdown: float
    """The bound on the end of the process, from the signal on."""


class _Worker(Worker):
    """Stops by itself when something in it breaks, and then waits for what it runs: that is told to `leave`."""

    def __init__(self, app: App, *, leave: Callable[[], None], **options: Any) -> None:
        super().__init__(app, **options)
        self._leave = leave

    def stop(self) -> None:
        self._leave()
        super().stop()  # type: ignore[no-untyped-call]


class FleetWorker(Generic[S]):
    """`run` blocks until SIGTERM or SIGINT, then until all that was under way has ended.

    `_guard` guards `_live` and `_leaving`; everything else belongs to the event loop's thread.
    """

    def __init__(
        self,
        conninfo: str,
        duties: Duties[S],
        times: Times,
        *,
        queues: Sequence[str],
        concurrency: int,
        rollbacks_at_once: int,
    ) -> None:
        self._connector = PsycopgConnector(conninfo=conninfo, min_size=1, max_size=MOST_CONNECTIONS, timeout=5.0)
        self._duties, self._times = duties, times
        self._queues, self._concurrency, self._rollbacks = queues, concurrency, rollbacks_at_once
        self._guard = Lock()
        self._live: set[S] = set()
        self._leaving = False
        self._workers: list[_Worker] = []
        self._ended = asyncio.Event()

    def run(self, began_to_end: Callable[[], None], finish: Callable[[], None]) -> None:
        """Work until told to end. `began_to_end` is called at the signal, `finish` when no run is left.

        A run that does not end within the bound ends with the process: its job is
        found without a worker, and goes on elsewhere.
        """
        asyncio.run(self._main(began_to_end, finish))

    async def _main(self, began_to_end: Callable[[], None], finish: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        threads = self._concurrency + self._rollbacks + 4
        loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="jobsvc-fleet"))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_to_end, began_to_end)
        runs, rollbacks, recovery = self._app("runs"), self._app("rollbacks"), self._app("recovery")
        runs.task(name=Task.RUN, pass_context=True)(self._carrying_out(self._duties.run))
        rollbacks.task(name=Task.ROLL_BACK, pass_context=True)(self._carrying_out(self._duties.roll_back))
        self._add_recovery(recovery)
        async with runs.open_async():
            work = asyncio.gather(
                self._keep(runs, self._queues, self._concurrency),
                self._keep(rollbacks, [ROLLBACK_QUEUE], self._rollbacks),
                # One more than there are tasks that take long, so that none of those holds up the others.
                self._keep(recovery, [RECOVERY_QUEUE], 2, listen=False),
            )
            both: set[asyncio.Future[Any]] = {work, asyncio.ensure_future(self._late())}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.warning("not all runs have ended in time; they end with the process")
                logging.shutdown()
                os._exit(1)
            work.result()
        await asyncio.to_thread(finish)

    async def _late(self) -> None:
        await self._ended.wait()
        await asyncio.sleep(self._times.shutdown)

    def _begin_to_end(self, began_to_end: Callable[[], None]) -> None:
        if self._ended.is_set():
            return
        log.info("shutting down")
        self._ended.set()
        self._leave()
        for worker in self._workers:
            worker.stop()
        began_to_end()

    def _leave(self) -> None:
        """Have all runs commit and hand their jobs back."""
        with self._guard:
            self._leaving = True
            live = list(self._live)
        for signals in live:
            signals.shut_down()

    def _app(self, purpose: str) -> App:
        app = App(connector=self._connector)
        registered = partial(self._duties.registered, purpose=purpose)
        app.job_manager = PatientJobManager(self._connector, registered=registered, broken=self._leave)
        return app

    async def _keep(self, app: App, queues: Sequence[str], slots: int, *, listen: bool = True) -> None:
        """Have a worker at work until the end; one that breaks is followed by another."""
        while not self._ended.is_set():
            worker = _Worker(
                app,
                leave=self._leave,
                queues=queues,
                concurrency=slots,
                fetch_job_polling_interval=FETCH_SECONDS,
                abort_job_polling_interval=LOOK_FOR_ABORTS_SECONDS,
                listen_notify=listen,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
                update_heartbeat_interval=self._times.heartbeat,
                stalled_worker_timeout=self._times.stalled_after,
            )
            self._workers.append(worker)
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            except Exception:
                log.exception("a worker for %s broke off", ", ".join(queues))
            finally:
                self._workers.remove(worker)
            if not self._ended.is_set():
                log.warning("a worker for %s has ended; another one begins", ", ".join(queues))
                with self._guard:
                    self._leaving = False
                await asyncio.sleep(BEGIN_AGAIN_SECONDS)

    def _carrying_out(self, carry_out: Callable[[int, int, S], None]) -> Callable[[JobContext, int], None]:
        def task(context: JobContext, key: int) -> None:
            assert context.job.id is not None
            signals = self._duties.signals(context.should_abort)
            with self._guard:
                self._live.add(signals)
                leaving = self._leaving
            if leaving:
                signals.shut_down()
            try:
                carry_out(key, context.job.id, signals)
            finally:
                with self._guard:
                    self._live.discard(signals)

        return task

    def _add_recovery(self, app: App) -> None:
        manager = app.job_manager

        # The seconds are the last of cron's six fields. No two wait in the queue at a time; and none
        # waits for one that is under way, whose worker may be the one that has gone.
        @app.periodic(cron=f"* * * * * */{self._times.sweep_every}")
        @app.task(name="jobsvc.recover", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.recover")
        async def recover(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._duties.fence)
            stalled = await manager.get_stalled_jobs(seconds_since_heartbeat=self._times.stalled_after)
            for entry in stalled:
                assert entry.id is not None
                log.warning("entry %d of the queue (%s) has lost its worker", entry.id, entry.task_name)
                try:
                    await manager.finish_job_by_id_async(entry.id, Status.FAILED, delete_job=True)
                except ConnectorException as error:
                    log.info("entry %d of the queue is gone already: %s", entry.id, error.__cause__)
            await manager.prune_stalled_workers(self._times.stalled_after)
            await asyncio.to_thread(self._duties.recover)

        @app.periodic(cron=EVERY_HOUR)
        @app.task(name="jobsvc.tidy", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.tidy")
        async def tidy(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._duties.tidy)
