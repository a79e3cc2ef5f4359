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
from threading import Event
from typing import Any, Generic

from procrastinate import App, PsycopgConnector

from jobsvc.engines.fleet.lease import allow_alarm
from jobsvc.engines.fleet.queue import ROLLBACK_QUEUE, Task
from jobsvc.engines.fleet.supervised_worker import Crew, MakeSignals, Registered, S, Times

log = logging.getLogger(__name__)

RECOVERY_QUEUE = "jobsvc:recovery"

EVERY_HOUR = "17 * * * *"

MAX_CONNECTIONS = 4
"""For the queue. Runs have theirs beside these; each of two workers has one more to hear of new work."""

POOL_SECONDS = 5.0
"""How long is waited for a connection. Whoever needs one then has the pool try at once: by itself it would try
later and later while the database is away, and be late by as much as that was."""


@dataclass(frozen=True)
class Duties(Generic[S]):
    """What there is to do, all of it on threads. An entry is named by its number, a job by its key."""

    signals: MakeSignals[S]
    run: Callable[[int, int, S], None]
    """`run(key, entry, signals)`"""
    roll_back: Callable[[int, int, S], None]
    recover: Callable[[], object]
    """Gives up the workers that have gone, and has their jobs go on."""
    tidy: Callable[[], object]
    """Done by somebody every hour."""
    registered: Registered
    """Is told the number that each worker has when it begins, and its purpose: runs, rollbacks, recovery."""


class FleetWorker(Generic[S]):
    """`run` blocks until SIGTERM or SIGINT, then until all that was under way has ended.

    Everything belongs to the event loop's thread.
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
        connector = PsycopgConnector(
            conninfo=conninfo,
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=POOL_SECONDS,
            reconnect_timeout=POOL_SECONDS,
        )
        self._duties, self._times = duties, times
        self._threads = concurrency + rollbacks_at_once + 4

        def crew(purpose: str, queues: Sequence[str], slots: int, *, listen: bool = True) -> Crew[S]:
            made = (connector, purpose, queues, slots, times)
            return Crew(*made, registered=duties.registered, signals=duties.signals, listen=listen)

        runs = crew("runs", queues, concurrency)
        runs.carry_out(Task.RUN, duties.run)
        rollbacks = crew("rollbacks", [ROLLBACK_QUEUE], rollbacks_at_once)
        rollbacks.carry_out(Task.ROLL_BACK, duties.roll_back)
        # One more than there are tasks that take long, so that none of those holds up the others.
        recovery = crew("recovery", [RECOVERY_QUEUE], 2, listen=False)
        self._add_recovery(recovery.app)
        self._crews = (runs, rollbacks, recovery)
        self._ended = asyncio.Event()

    def run(self, began_to_end: Callable[[], None], finish: Callable[[], None]) -> None:
        """Work until told to end. `began_to_end` is called at the signal, `finish` when no run is left.

        A run that does not end within the bound ends with the process: its job is
        found without a worker, and goes on elsewhere.
        """
        asyncio.run(self._main(began_to_end, finish))

    async def _main(self, began_to_end: Callable[[], None], finish: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(_started(self._threads))
        allow_alarm()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_to_end, began_to_end)
        # They share the connections.
        async with self._crews[0].app.open_async():
            work = asyncio.gather(*(crew.keep(self._ended) for crew in self._crews))
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
        for crew in self._crews:
            crew.stop()
        began_to_end()

    def _add_recovery(self, app: App) -> None:
        # The seconds are the last of cron's six fields. No two wait in the queue at a time; and none
        # waits for one that is under way, whose worker may be the one that has gone.
        @app.periodic(cron=f"* * * * * */{self._times.sweep_every}")
        @app.task(name="jobsvc.recover", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.recover")
        async def recover(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._duties.recover)

        @app.periodic(cron=EVERY_HOUR)
        @app.task(name="jobsvc.tidy", queue=RECOVERY_QUEUE, queueing_lock="jobsvc.tidy")
        async def tidy(timestamp: int) -> None:  # noqa: ARG001
            await asyncio.to_thread(self._duties.tidy)


def _started(threads: int) -> ThreadPoolExecutor:
    """So many threads, all of them started: no entry is taken that could not be carried out.

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
