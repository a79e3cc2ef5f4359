"""Jobs that give way: one with the priority `high` that finds no free slot takes that of another.

It is the job with the lowest priority, and the latest turn among those: never one that is as high. `Slots.make_way`
marks it (`jobs.gives_way`), and its run is told as it is of a pause. The run reads its row at its next checkpoint,
as always (`obey` in `runs/ending.py`): a pause or a terminate that was written by then goes first. Else the job is
queued at its cursor, before all that have not begun. It may be that nobody waits any more: then it begins at once.

With the engine `threads`, the thread that gives out the slots asks for this when a high job is queued and none is
free. In a fleet, the process that has queued a high job asks after its commit. It can't see a job whose entry a worker
has taken at that moment, and which does not run yet: so a worker that has begun a job that is not high asks too, after
that commit. One of the two comes later, and sees both. The sweep asks again, for a process that has died in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, RowMapping

from jobsvc.identifiers import JobKey, Priority
from jobsvc.jobs.job import Job
from jobsvc.jobs.stopping import Asking
from jobsvc.runs.crashes import MAX_DELAY_SECONDS, SUSPECT_AFTER
from jobsvc.runs.sharing.user_slots import Left, UserSlots
from jobsvc.store.again import again_on_conflict
from jobsvc.store.database import Database
from jobsvc.store.errors import Conflict, DatabaseDown
from jobsvc.store.queries import job_rows
from jobsvc.store.queries.job_rows import Due
from jobsvc.store.queries.sharing import slot_rows

log = logging.getLogger(__name__)

ABOVE = Priority.NORMAL
"""Jobs with a higher priority than this take the slots of others."""


@dataclass(frozen=True)
class Taken:
    """A slot, as a job has it. `leaves_soon`: its run was told to stop."""

    key: JobKey
    attempt: int
    priority: int
    turn: int
    leaves_soon: bool


@dataclass
class Place:
    """Where there are slots: this process, or a worker of the fleet. `kinds`: those that it takes; None: all."""

    kinds: Collection[str] | None
    free: int
    taken: Sequence[Taken] = ()
    soon: int = field(init=False)
    """How many slots will be free soon, and are not spoken for."""

    def __post_init__(self) -> None:
        self.soon = sum(each.leaves_soon for each in self.taken)


@dataclass(frozen=True)
class Waiting:
    kind: str
    priority: int
    user: str = ""


def to_give_way(waiting: Sequence[Waiting], places: Sequence[Place], left: Left | None = None) -> list[Taken]:
    """The jobs that are to give way to those that wait, the first of which comes first: no more than it takes.

    `left` says for how many of each user that may be done.
    """
    chosen: list[Taken] = []
    left = left or Left()
    for each in waiting:
        if not left.take(each.user):
            continue
        open_to = [place for place in places if place.kinds is None or each.kind in place.kinds]
        if (place := next((place for place in open_to if place.free > 0), None)) is not None:
            place.free -= 1
        elif (place := next((place for place in open_to if place.soon > 0), None)) is not None:
            place.soon -= 1
        else:
            lower = [
                one
                for place in open_to
                for one in place.taken
                if not one.leaves_soon and one.priority > each.priority and one not in chosen
            ]
            if lower:
                chosen.append(max(lower, key=lambda one: (one.priority, one.turn, one.key)))
    return chosen


@dataclass(frozen=True)
class Scene:
    """Those that wait for a slot, the first of which comes first, and all slots."""

    waiting: Sequence[Waiting]
    places: Sequence[Place]


class Look(Protocol):
    def __call__(self, connection: Connection, due: Due, but: Collection[str]) -> Scene:
        """How things stand now. Those that wait are due, of none of the users in `but`, and as many as can matter."""


def all_taken(connection: Connection, due: Due, but: Collection[str] = ()) -> Scene:
    """In a process that has no slot free, and that no other process shares the jobs with."""
    place = Place(None, 0, [_taken(row) for row in slot_rows.taken(connection)])
    rows = slot_rows.waiting(connection, ABOVE, due, len(place.taken), but)
    return Scene([Waiting(**row) for row in rows], [place])


@dataclass(frozen=True)
class InFleet:
    """In a fleet whose workers count as gone after so long without a heartbeat."""

    stalled_after: timedelta

    def __call__(self, connection: Connection, due: Due, but: Collection[str] = ()) -> Scene:
        taken: dict[int, list[Taken]] = {}
        for row in slot_rows.taken_in_fleet(connection):
            taken.setdefault(row["worker"], []).append(_taken(row))
        workers = slot_rows.in_fleet(connection, self.stalled_after)
        places = [Place(row["queues"], row["free"], taken.get(row["id"], ())) for row in workers]
        most = sum(max(0, place.free) + len(place.taken) for place in places)
        rows = slot_rows.waiting_in_fleet(connection, ABOVE, due, most, but)
        return Scene([Waiting(**row) for row in rows], places)


def _taken(row: RowMapping) -> Taken:
    return Taken(row["key"], row["attempt"], row["priority"], row["turn"], bool(row["leaves_soon"]))


def _due(now: datetime) -> Due:
    """A suspect may have to wait although there is a slot: it takes none of another."""
    return Due(now, now + timedelta(seconds=MAX_DELAY_SECONDS), crashes_below=SUSPECT_AFTER)


class Slots:
    """Safe to share among threads."""

    def __init__(self, database: Database, now: Callable[[], datetime], look: Look, users: UserSlots) -> None:
        """`users` says how many jobs each may have running: no job gives way to one that may not begin."""
        self._database = database
        self._now = now
        self._look = look
        self._users = users

    def make_way(self, asking: Asking) -> int:
        """Have jobs give way to those with a high priority that wait, and tell their runs. Returns how many."""
        if not self._is_wanted():
            return 0
        return self._make_way(asking)

    def make_way_or_leave_it(self, asking: Asking) -> None:
        """The same, for one whose own work is done: if the database does not answer now, others do it later."""
        try:
            self.make_way(asking)
        except (DatabaseDown, Conflict) as error:
            log.warning("no job was told to give way: %s", error)

    def _is_wanted(self) -> bool:
        with self._database.read() as connection:
            return slot_rows.is_somebody_before(connection, ABOVE, _due(self._now()))

    @again_on_conflict
    def _make_way(self, asking: Asking) -> int:
        with self._database.write(urgent=True) as connection:
            # Another process may be about to do the same.
            self._database.backend.lock_for_slots(connection)
            left = self._users.left(connection)
            scene = self._look(connection, _due(self._now()), left.full)
            chosen = to_give_way(scene.waiting, scene.places, left)
            return sum(self._have_give_way(connection, asking, each) for each in chosen)

    @staticmethod
    def _have_give_way(connection: Connection, asking: Asking, chosen: Taken) -> bool:
        if not slot_rows.have_give_way(connection, chosen.key, chosen.attempt):
            return False
        asking.stop(connection, Job.from_row(job_rows.by_key(connection, chosen.key)), for_good=False)
        return True
