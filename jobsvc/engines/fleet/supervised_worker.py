"""One of the queue workers of a worker, and another one in its place whenever it ends.

A worker is a process of the fleet. A queue worker is what Procrastinate calls a worker:
it takes entries from some of the queues. A worker has three of them. One ends when it was
given up, or with an error; while the database is away it goes on (`job_manager.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.jobs import DeleteJobCondition
from procrastinate.worker import Worker

from jobsvc.engines.fleet.job_manager import RetryingJobManager
from jobsvc.engines.fleet.lease import Lease
from jobsvc.identifiers import EntryId, JobKey, Purpose

log = logging.getLogger(__name__)

FETCH_SECONDS = 1.0
"""Polling interval for entries that nobody tells of: after a lost connection, and those that are to begin later."""

FETCH_UNTOLD_SECONDS = 0.5
"""The same for a queue worker that does not listen."""

LOOK_FOR_ABORTS_SECONDS = 1.0
"""The same for requests to stop."""

BEGIN_AGAIN_SECONDS = 1.0
"""Pause between the end of a queue worker and the start of the next one."""


class RunSignals(Protocol):
    """What a run looks at before every item."""

    def shut_down(self) -> None: ...


S = TypeVar("S", bound=RunSignals)
S_co = TypeVar("S_co", bound=RunSignals, covariant=True)


class Process(Protocol[S_co]):
    """What a queue worker wants of the process that it is in."""

    def new_signals(self, should_abort: Callable[[], bool], lease: Lease) -> S_co:
        """What a run looks at. `should_abort` says whether the queue wants the run to stop."""

    def registered(self, number: int, purpose: Purpose) -> None:
        """A queue worker begins, and has this number in the database."""


@dataclass(frozen=True)
class Times:
    """All in seconds."""

    heartbeat: float
    stalled_after: float
    """A queue worker without a heartbeat for so long is given up."""
    sweep_every: int
    """How often the fleet looks for those."""
    shutdown: float
    """The bound on the end of the process, from the signal on."""


class _QueueWorker(Worker):
    """Stops by itself when something in it breaks, and then waits for what it runs: that is told to `leave`."""

    def __init__(self, app: App, *, leave: Callable[[], None], **options: Any) -> None:
        super().__init__(app, **options)
        self._leave = leave
        self._told = 0
        """How often the queue has told of something."""

    async def _handle_notification(self, **told: Any) -> None:
        self._told += 1
        await super()._handle_notification(**told)

    async def _fetch_and_process_jobs(self) -> None:
        # Procrastinate's own forgets what it is told of while it fetches: that would wait until it asks by itself.
        told = -1
        while told != self._told and not self._stop_event.is_set():
            told = self._told
            await super()._fetch_and_process_jobs()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        self._leave()
        super().stop()  # type: ignore[no-untyped-call]

    def entries(self) -> list[EntryId]:
        """The numbers of the entries that it has at work."""
        return [EntryId(context.job.id) for context in self._running_jobs.values() if context.job.id is not None]

    async def _shutdown(self, side_tasks: list[asyncio.Task[Any]]) -> None:
        # Those end at once, and with them the heartbeats: a run that takes its time to leave needs them still.
        heartbeats = asyncio.create_task(self._update_heartbeat())  # type: ignore[no-untyped-call]
        try:
            await super()._shutdown(side_tasks)
        finally:
            heartbeats.cancel()


class SupervisedWorker(Generic[S]):
    """Takes entries from some of the queues, and executes them on threads.

    `_guard` guards `_live` and `_leaving`; everything else belongs to the event loop's thread.
    """

    def __init__(
        self,
        connector: PsycopgConnector,
        purpose: Purpose,
        queues: Sequence[str],
        slots: int,
        times: Times,
        *,
        process: Process[S],
        listen: bool = True,
    ) -> None:
        self._process = process
        self._purpose, self._queues, self._slots = purpose, queues, slots
        self._times, self._listen = times, listen
        self.app = App(connector=connector)
        self._lease = Lease(times.stalled_after)
        self.app.job_manager = RetryingJobManager(
            connector,
            self._lease,
            registered=partial(process.registered, purpose=purpose),
            given_up=self._given_up,
            running=lambda: () if self._worker is None else self._worker.entries(),
        )
        self._worker: _QueueWorker | None = None
        self._guard = Lock()
        self._live: set[S] = set()
        self._leaving = False

    def add_task(self, name: str, execute: Callable[[JobKey, EntryId, S], None]) -> None:
        """Have entries of the task `name` executed by `execute(key, entry, signals)`."""

        def task(context: JobContext, key: int) -> None:
            assert context.job.id is not None
            signals = self._process.new_signals(context.should_abort, self._lease)
            with self._guard:
                self._live.add(signals)
                leaving = self._leaving
            if leaving:
                signals.shut_down()
            try:
                execute(JobKey(key), EntryId(context.job.id), signals)
            except Exception:
                raise
            except BaseException as error:
                # As it is, it would end the event loop, and with it the queue worker.
                raise RuntimeError(f"entry {context.job.id} raised {type(error).__name__}: {error}") from error
            finally:
                with self._guard:
                    self._live.discard(signals)

        self.app.task(name=name, pass_context=True)(task)

    async def supervise(self, ended: asyncio.Event) -> None:
        """Have a queue worker at work until `ended` is set and it was told to `stop`."""
        while not ended.is_set():
            self._worker = _QueueWorker(
                self.app,
                leave=self._leave,
                queues=self._queues,
                concurrency=self._slots,
                fetch_job_polling_interval=FETCH_SECONDS if self._listen else FETCH_UNTOLD_SECONDS,
                abort_job_polling_interval=LOOK_FOR_ABORTS_SECONDS,
                listen_notify=self._listen,
                delete_jobs=DeleteJobCondition.ALWAYS,
                install_signal_handlers=False,
                update_heartbeat_interval=self._times.heartbeat,
                stalled_worker_timeout=self._times.stalled_after,
            )
            try:
                await self._worker.run()  # type: ignore[no-untyped-call]
            except Exception:
                log.exception("the queue worker for %s broke off", self._purpose)
            finally:
                self._worker = None
            if not ended.is_set():
                log.warning("the queue worker for %s has ended; another one begins", self._purpose)
                with self._guard:
                    self._leaving = False
                await asyncio.sleep(BEGIN_AGAIN_SECONDS)

    def stop(self) -> None:
        """Take nothing further, and have what runs commit and hand its jobs back. Returns at once."""
        if self._worker is None:
            self._leave()
        else:
            self._worker.stop()

    def _leave(self) -> None:
        with self._guard:
            self._leaving = True
            live = list(self._live)
        for signals in live:
            signals.shut_down()

    def _given_up(self) -> None:
        """The queue worker is not known any more: if it died now, its jobs would not be found. Others may have them."""
        with self._guard:
            if self._leaving:
                return
        log.warning("the queue worker for %s was given up: it had no heartbeat for too long", self._purpose)
        self.stop()
