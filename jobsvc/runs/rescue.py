"""Giving up the workers of the fleet that have gone, and having their jobs go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from jobsvc.store.database import Database
from jobsvc.store.queries import worker_rows

log = logging.getLogger(__name__)


class WorkerRescue:
    """One sweep: it finds the workers that are lost once, in its first transaction.

    Those, and no others, lose their sessions, then their entries in the queue, and
    are forgotten then. A worker that turns stale meanwhile has its sessions still: it
    is for the next sweep. So is what a sweep that breaks off has left.
    """

    def __init__(self, database: Database, settle: Callable[[], object], *, stalled_after: float) -> None:
        """`settle` has jobs go on that no entry stands for."""
        self._database = database
        self._settle = settle
        self._stalled_after = timedelta(seconds=stalled_after)

    def sweep(self) -> None:
        lost = self._fence()
        if lost is not None:
            self._give_up(lost)
            self._settle()

    def _fence(self) -> Sequence[int] | None:
        """Take from the lost workers what they may still hold. Returns None if none is to be given up now."""
        with self._database.write() as connection:
            if worker_rows.server_started_within(connection, self._stalled_after):
                # Nobody could have a heartbeat while it was away.
                return None
            lost = worker_rows.lost(connection, self._stalled_after)
            sessions = worker_rows.end_sessions(connection, lost, self._stalled_after)
        if sessions.ended:
            log.warning("ended %d sessions of processes that were given up", sessions.ended)
        if sessions.kept:
            log.error(
                "%d sessions of processes that were given up are another role's, and may hold locks still",
                sessions.kept,
            )
        return lost

    def _give_up(self, lost: Sequence[int]) -> None:
        with self._database.write() as connection:
            removed = worker_rows.give_up(connection, lost)
        for entry in removed:
            log.warning("entry %d of the queue (%s) has lost its worker", entry["id"], entry["task_name"])
