"""How many jobs of one user run at a time. Further ones stay queued, though slots are free, and others' go before.

With `threads`, a claim passes over the jobs of users who have as many as they may; when a run has left its slot,
the next claim looks again. Nothing is written down.

In a fleet, what is in the queue is given to whichever worker asks. So a job whose user has as many as they may has no
entry there: it is `held`. That is decided when it would get its entry, and again when a worker has taken that, in both
cases with the user locked: two of one user never begin at once. An entry is taken in vain once at most. When a run has
left its slot, its worker has the first held job of its user go on (`go_on`). The sweep does the same for places that
nobody has filled: the worker has died in between, or what went on was paused before it began.

A suspect that waits, a rollback and a paused job have no place. A job that gives way has its own until it has left.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection

from jobsvc.identifiers import JobKey, Priority
from jobsvc.jobs.job import Job
from jobsvc.runs.crashes import SUSPECT_AFTER
from jobsvc.store.database import Database
from jobsvc.store.queries.sharing import user_rows
from jobsvc.store.queries.sharing.user_rows import PlaceInQueue


class Queued(Protocol):
    """A job that is to be queued, as far as its place among its user's matters."""

    @property
    def key(self) -> JobKey: ...
    @property
    def user(self) -> str: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def turn(self) -> int: ...


@dataclass
class Left:
    """How many further jobs each user may have running; with `most` = 0 as many as there are slots."""

    most: int = 0
    running: Mapping[str, int] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)

    @property
    def full(self) -> list[str]:
        """The users who may have none."""
        return [user for user, count in self.running.items() if count >= self.most] if self.most else []

    def take(self, user: str) -> bool:
        """Take one of the user's places, if there is one."""
        taken = self._taken.get(user, 0)
        if self.most and self.running.get(user, 0) + taken >= self.most:
            return False
        self._taken[user] = taken + 1
        return True


class UserSlots:
    """Safe to share among threads. With `most` = 0 there is no limit."""

    def __init__(self, database: Database, most: int) -> None:
        self._database, self._most = database, most

    def left(self, connection: Connection) -> Left:
        """What each user may still have, for one who alone decides what begins."""
        return Left(self._most, user_rows.running(connection)) if self._most else Left()

    def hold_back(self, connection: Connection, job: Queued) -> bool:
        """Whether a job may get no entry now, in which case it is held. It passes none that is held already."""
        if not self._most:
            return False
        if not self._is_full(connection, job.user):
            place = PlaceInQueue(job.priority, job.turn, job.key)
            if not user_rows.is_one_held_before(connection, job.user, place, user_rows.kinds_taken(connection)):
                return False
        user_rows.hold(connection, job.key)
        return True

    def hold_at_claim(self, connection: Connection, job: Queued) -> bool:
        """Whether a job whose entry was taken may not begin, in which case it is held."""
        if not self._is_full(connection, job.user):
            return False
        user_rows.hold(connection, job.key)
        return True

    def _is_full(self, connection: Connection, user: str) -> bool:
        if not self._most:
            return False
        self._database.backend.lock_for_user(connection, user)
        return user_rows.count_running(connection, user) >= self._most

    def next_held(self, connection: Connection, user: str, *, many: bool = False) -> list[Job]:
        """The held job of the user that is to go on, since one of theirs has left its slot; it is held no more.

        `many`: as many as there are places for which no job is in the queue. Jobs of kinds that no worker takes
        stay held, and fill no place; nor do suspects, which may have to wait for minutes.
        """
        if not self._most:
            return []
        self._database.backend.lock_for_user(connection, user)
        free = self._most - user_rows.count_running(connection, user)
        kinds = user_rows.kinds_taken(connection)
        if many and free > 0:
            free -= user_rows.count_in_queue(connection, user, kinds, SUSPECT_AFTER)
        return self._let_go(connection, user, free if many else min(1, free), kinds)

    def any_held(self, connection: Connection, user: str, limit: int) -> list[Job]:
        """Some of a user's held jobs, where there is no limit any more; they are held no more."""
        return self._let_go(connection, user, limit)

    @property
    def is_limited(self) -> bool:
        return self._most > 0

    @staticmethod
    def _let_go(connection: Connection, user: str, limit: int, kinds: Collection[str] | None = None) -> list[Job]:
        if limit <= 0:
            return []
        jobs = [Job.from_row(row) for row in user_rows.first_held(connection, user, limit, kinds)]
        user_rows.let_go(connection, [job.key for job in jobs])
        return [job.changed({"held": False}) for job in jobs]
