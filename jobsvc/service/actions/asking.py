"""Asking for an action on many jobs, and looking where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping

from jobsvc.access.acts import Act
from jobsvc.deadlines import Deadline
from jobsvc.identifiers import ActionKey, new_id
from jobsvc.jobs.bulk_action import BulkAction, Demand, Preview, Verb
from jobsvc.jobs.errors import InvalidParameter, KeyReused, UnknownAction
from jobsvc.jobs.states import STOPPING
from jobsvc.service.actions.beginning import begin, preview
from jobsvc.service.auditing.noting import note
from jobsvc.service.new_job import Idempotency, once_for_each_key
from jobsvc.service.notifier import Notifier
from jobsvc.service.settling import Settling
from jobsvc.service.steering import at_most
from jobsvc.store import clock
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import DatabaseBusy
from jobsvc.store.queries import action_rows

LOOK_SECONDS = 0.5
"""The polling interval of a request that waits: nobody tells of what another process has done of an action."""


class ActionPage(NamedTuple):
    actions: list[BulkAction]
    next: int | None
    """The `after` of the next page; None if this is the last."""


@dataclass(frozen=True)
class NewAction:
    """An action to be."""

    demand: Demand
    user: str
    idempotency: Idempotency | None = None


class Actions:
    """Safe to share among threads: whatever it decides by, it reads and changes in one transaction.

    `wake` is called when there is something to do; it is set before there are any requests.
    """

    def __init__(
        self,
        database: Database,
        settling: Settling,
        notifier: Notifier,
        now: Callable[[], datetime],
        *,
        idempotency_hours: float,
    ) -> None:
        self._database = database
        self._settling = settling
        self._notifier = notifier
        self._now = now
        self._remembered = timedelta(hours=idempotency_hours)
        self.wake: Callable[[], None] = lambda: None

    def preview(self, demand: Demand) -> Preview:
        """What the action would do now. Raises InvalidParameter."""
        with self._database.read() as connection:
            return preview(connection, demand, _paused_by(connection, demand))

    def ask(self, new: NewAction, wait: float) -> BulkAction:
        """Write what is asked, and wait up to `wait` seconds until all of it is done, and obeyed.

        The same request as before, by its idempotency key, gets the action that it made then.
        Raises InvalidParameter, KeyReused; DatabaseBusy if nothing was asked for.
        """
        with at_most(wait) as until:
            action = once_for_each_key(new.idempotency, lambda: self._ask(new))
            self.wake()
            return self._waited(action, until)

    def get(self, action_id: str, wait: float = 0.0) -> BulkAction:
        """Where an action stands; waits up to `wait` seconds until it is over. Raises UnknownAction."""
        with at_most(wait) as until:
            return self._waited(self._get(action_id), until)

    def page(self, *, limit: int, after: int | None, owner: str | None = None) -> ActionPage:
        """Actions, newest first, below the key `after`; with an `owner`, those that found only this user's jobs."""
        with self._database.read() as connection:
            found = _read(connection, action_rows.page(connection, limit=limit + 1, after=after, owner=owner))
        return ActionPage(found[:limit], found[limit - 1].key if len(found) > limit else None)

    def _get(self, action_id: str) -> BulkAction:
        with self._database.read() as connection:
            row = action_rows.by_id(connection, action_id) if action_id.isprintable() else None
            if row is None:
                raise UnknownAction(action_id)
            return _read(connection, [row])[0]

    def _waited(self, action: BulkAction, until: Deadline) -> BulkAction:
        """The action as it stands when it is over, or at the deadline. What was asked stands in the database."""
        try:
            with self._settling.bounded(until) as bound:
                while not action.is_over and bound.left() > 0:
                    version = self._notifier.version()
                    action = self._get(action.id)
                    if not action.is_over:
                        self._notifier.wait(version, min(bound.left(), LOOK_SECONDS))
        except DatabaseBusy:
            pass
        return action

    @again_on_conflict
    def _ask(self, new: NewAction) -> BulkAction:
        with self._database.write(urgent=True) as connection:
            made = self._made_before(connection, new)
            if made is not None:
                note(connection, Act.ASK_MANY, made.id, by=new.user, at=self._now(), already=True)
                return made
            is_first = action_rows.count_open(connection) == 0
            now = self._now()
            named = new.demand.filter
            key = action_rows.add(
                connection,
                {
                    "id": new_id(new.demand.verb, now),
                    "verb": new.demand.verb,
                    "rollback": new.demand.rollback,
                    "user": new.user,
                    "filter": named.stored(),
                    "owner": named.owner,
                    "paused_by": _paused_by(connection, new.demand),
                    "up_to": action_rows.youngest_job(connection),
                    # By the clock that all processes share: idempotency keys and retention count from it.
                    "created_at": clock.read(connection, self._now),
                    "found": 0,
                    "done": 0,
                    "already": 0,
                    "skipped": {},
                    "idempotency_key": new.idempotency.key if new.idempotency else None,
                    "fingerprint": new.idempotency.fingerprint if new.idempotency else None,
                },
            )
            if is_first:
                # So that the answer tells how many were found, however soon it is given.
                begin(connection, _by_key(connection, key), now)
            action = _by_key(connection, key)
            note(connection, Act.ASK_MANY, action.id, by=new.user, at=now)
            return action

    def _made_before(self, connection: Connection, new: NewAction) -> BulkAction | None:
        if new.idempotency is None:
            return None
        row = action_rows.by_idempotency_key(connection, new.user, new.idempotency.key)
        if row is None:
            return None
        if row["created_at"] < clock.read(connection, self._now) - self._remembered:
            action_rows.change(connection, row["key"], {"idempotency_key": None, "fingerprint": None})
            return None
        if row["fingerprint"] != new.idempotency.fingerprint:
            raise KeyReused(new.idempotency.key)
        return _read(connection, [row])[0]


def _by_key(connection: Connection, key: ActionKey) -> BulkAction:
    return _read(connection, [action_rows.by_key(connection, key)])[0]


def _read(connection: Connection, rows: Sequence[RowMapping]) -> list[BulkAction]:
    stopping = action_rows.count_stopping(connection, [row["key"] for row in rows], STOPPING)
    return [BulkAction.from_row(row, stopping.get(row["key"], 0)) for row in rows]


def _paused_by(connection: Connection, demand: Demand) -> ActionKey | None:
    """The key of the action whose jobs are meant. Raises InvalidParameter if there is none, or it has paused none."""
    named = demand.filter.paused_by
    if named is None:
        return None
    row = action_rows.by_id(connection, named)
    if row is None or demand.filter.owner not in (None, row["owner"]):
        raise InvalidParameter("paused_by", f"there is no action {named!r}")
    if row["verb"] != Verb.PAUSE:
        raise InvalidParameter("paused_by", f"action {named} has paused nothing: it was to {row['verb']}")
    return ActionKey(row["key"])
