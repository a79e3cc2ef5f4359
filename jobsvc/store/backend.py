"""What differs between databases, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from jobsvc.deadlines import Deadline
from jobsvc.store.commits.at_once import Begin, Committer


class Backend(Protocol):
    """One kind of database: `store/sqlite/backend.py`, `store/postgresql/backend.py`."""

    engine: Engine
    looking: Engine
    """For one statement that reads."""
    reading: Engine
    """Its transactions see what is committed, all of it as of one moment."""
    writing: Engine
    """Its transactions may write."""
    migrates_at_start: bool
    """Whether a start of the service applies the migrations that are missing."""
    has_queue: bool
    """Whether the queue of the fleet is in it."""

    def turn(self, urgent: Callable[[], bool], deadline: Deadline | None) -> AbstractContextManager[None]:
        """Held for the length of a write transaction. Those that are `urgent` go ahead of those that are not.

        Raises DatabaseBusy if it has not come by the deadline.
        """

    def begin(self, engine: Engine, deadline: Deadline | None) -> AbstractContextManager[Connection]:
        """A transaction of `looking`, `reading` or `writing`: commits at the end, rolls back on an exception.

        What it waits for others, from connecting on, ends at the deadline; without
        one, after a time of the backend's own. Raises DatabaseBusy, or an error that `translated` makes that.
        """

    def contended(self) -> bool:
        """Whether writers are waiting for their turn."""

    def committer(self, begin: Begin) -> Committer:
        """What commits the checkpoints of runs, in transactions that `begin`."""

    def lock_for_migrations(self, connection: Connection) -> None:
        """Wait, in the migrations' transaction, until no other process applies any."""

    def lock_for_suspects(self, connection: Connection) -> None:
        """Wait until no other transaction is about to let a suspect begin."""

    def lock_for_slots(self, connection: Connection) -> None:
        """Wait until no other transaction is about to have jobs give way."""

    def lock_for_user(self, connection: Connection, user: str) -> None:
        """Wait until no other transaction is about to decide by what this user has."""

    def try_write(self, connection: Connection) -> None:
        """Change something, as little as possible, that means nothing."""

    def sizes(self, connection: Connection) -> dict[str, int]:
        """Bytes on the disk: of the `database`, and of its `log` where it is known."""

    def translated(self, error: SQLAlchemyError) -> Exception | None:
        """DatabaseDown, DatabaseBusy, DiskFull, Conflict or NotStorable, if an error means one of these."""
