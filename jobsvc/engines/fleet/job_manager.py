"""What a queue worker asks of Procrastinate's tables, so that it outlives the database's absence.

Procrastinate's own queue worker ends when one of its queries fails. Here a query that
fails because the database is away is made again after half a second, or left out where the
next one comes by itself, as heartbeats do. Any other error still ends the queue worker, and
so does that it was given up: then `supervised_worker.py` starts another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TypeVar

import psycopg
import psycopg_pool
from procrastinate import jobs
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.manager import JobManager, NotificationCallback

from jobsvc.engines.fleet.lease import Lease
from jobsvc.identifiers import EntryId

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.5

UNKNOWN_TO_IT = """
    SELECT id FROM procrastinate_jobs
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY(%(running)s)
"""

IS_KNOWN = "SELECT EXISTS (SELECT FROM procrastinate_workers WHERE id = %(worker_id)s) AS known"

T = TypeVar("T")


def is_away(error: ConnectorException) -> bool:
    """Whether it was the connection that failed, and not what was asked for."""
    cause = error.__cause__
    away = (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout)
    # This process was frozen within a transaction, and the server has ended its session.
    frozen = psycopg.errors.IdleInTransactionSessionTimeout
    return isinstance(cause, (*away, frozen))


class RetryingJobManager(JobManager):
    """Used on one event loop; heartbeats renew the `lease`.

    `given_up()` is called when the queue worker's row is found to be gone, or may be any moment.
    """

    def __init__(
        self,
        connector: BaseConnector,
        lease: Lease,
        *,
        registered: Callable[[int], None],
        given_up: Callable[[], None],
        running: Callable[[], Collection[EntryId]] = tuple,
    ) -> None:
        """`running` tells the entries that the queue worker has at work."""
        super().__init__(connector)
        self._running = running
        self._doubtful = False
        """Whether an entry may have been given to the queue worker in an answer that did not arrive."""
        self._lease = lease
        self._registered = registered
        self._given_up = given_up

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """The next entry; None, after a moment, if the database is away or the lease stays closed."""
        if self._lease.is_closed():
            await self.update_heartbeat(worker_id)
        if self._lease.is_closed():
            await asyncio.sleep(RETRY_SECONDS)
            return None
        try:
            if self._doubtful:
                await self._give_back(worker_id)
                self._doubtful = False
            return await super().fetch_job(queues, worker_id)
        except ConnectorException as error:
            if isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation):
                self._given_up()
                return None
            if not is_away(error):
                raise
            self._doubtful = True
            log.warning("no work can be fetched: %s", error.__cause__)
            await asyncio.sleep(RETRY_SECONDS)
            return None

    async def _give_back(self, worker_id: int) -> None:
        """End the entries that the queue worker is said to have and knows nothing of: the sweep finds their jobs."""
        running = list(self._running())
        for row in await self.connector.execute_query_all_async(UNKNOWN_TO_IT, worker_id=worker_id, running=running):
            log.warning("entry %d of the queue did not arrive at its worker", row["id"])
            await self.finish_job_by_id_async(row["id"], jobs.Status.FAILED, delete_job=True)

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """An entry is done with. If it is gone already, this queue worker was given up, and its entries with it."""
        try:
            await self._again_and_again(lambda: super(RetryingJobManager, self).finish_job(job, status, delete_job))
        except ConnectorException as error:
            log.info("entry %s of the queue was taken from this worker: %s", job.id, error.__cause__)

    async def update_heartbeat(self, worker_id: int) -> None:
        sent = self._lease.clock()
        try:
            await super().update_heartbeat(worker_id)
            found = await self.connector.execute_query_one_async(IS_KNOWN, worker_id=worker_id)
        except ConnectorException as error:
            if not is_away(error):
                raise
            log.warning("no heartbeat: %s", error.__cause__)
            return
        if not found["known"] or not self._lease.renew(sent):
            self._given_up()

    async def register_worker(self) -> int:
        worker_id = await self._again_and_again(self._register)
        await asyncio.to_thread(self._registered, worker_id)
        return worker_id

    async def _register(self) -> int:
        sent = self._lease.clock()
        worker_id: int = await super().register_worker()
        self._lease.begin(sent)
        return worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        try:
            await super().unregister_worker(worker_id)
        except ConnectorException as error:
            log.warning("worker %d could not sign off: %s", worker_id, error.__cause__)

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Nobody: one that begins would forget others and what they hold, which the sweep takes from them first."""
        return []

    async def defer_periodic_job(self, job: jobs.Job, periodic_id: str, defer_timestamp: int) -> int | None:
        try:
            return await super().defer_periodic_job(job, periodic_id, defer_timestamp)
        except ConnectorException as error:
            if not is_away(error):
                raise
            log.warning("%s could not be put into the queue: %s", job.task_name, error.__cause__)
            return None

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        listen = super().listen_for_jobs
        await self._again_and_again(lambda: listen(on_notification=on_notification, queues=queues))

    async def _again_and_again(self, ask: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask()
            except ConnectorException as error:
                if not is_away(error):
                    raise
                log.warning("the database does not answer: %s", error.__cause__)
            await asyncio.sleep(RETRY_SECONDS)
